/** Well-known models of the catalogue that a hub has: what to pull, and what it takes. Sizes follow from shapes. */
import {
  cacheBytesPerToken,
  describeModel,
  type ModelConfig,
  matrixSizes,
  type WeightPrecision,
  weightBytes,
} from '@forerunner/architecture';
import { readCatalogue } from '@forerunner/service-kit/model-names';
import { bytesText } from './progress.ts';

export interface KnownModel {
  readonly name: string;
  readonly repository: string;
  readonly licence: string;
  /** Names of models with the same tokenizer that are small beside it. */
  readonly drafts: readonly string[];
  readonly parameters: number;
  readonly weightBytes: Readonly<Record<'int4' | 'int8' | 'float16', number>>;
}

export function listKnownModels(env: NodeJS.ProcessEnv = process.env): KnownModel[] {
  return Object.entries(readCatalogue(env.MODELS_DIR).hub).map(([name, { config, ...rest }]) => {
    const model = describeModel(config);
    const { embedding, layers } = matrixSizes(model);
    const bytes = (precision: WeightPrecision) => Math.round(weightBytes(model, precision));
    const sizes = { int4: bytes('int4'), int8: bytes('int8'), float16: bytes('float16') };
    return { name, ...rest, parameters: embedding + layers, weightBytes: sizes };
  });
}

/** By name, or by an alias such as 7b; undefined: the catalogue has none of that name. */
export function findKnownModel(name: string, env: NodeJS.ProcessEnv = process.env): KnownModel | undefined {
  const { aliases } = readCatalogue(env.MODELS_DIR);
  const wanted = Object.hasOwn(aliases, name) ? aliases[name] : name;
  return listKnownModels(env).find((model) => model.name === wanted);
}

/** 'to serve: 4.3 GB of weights, and 57.3 MB for 1,000 tokens of text'. Errors: ArchitectureError. */
export function memoryLine(config: ModelConfig, precision: WeightPrecision): string {
  const model = describeModel(config);
  const cache = 1000 * cacheBytesPerToken(model, precision === 'float16');
  return `to serve: ${bytesText(weightBytes(model, precision))} of weights, and ${bytesText(cache)} for 1,000 tokens of text`;
}
