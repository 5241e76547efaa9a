/**
 * Makes a feature draft for a small target in seconds and without a training framework: the target writes text, ridge
 * regression fits a projection of [embedding of the next token; hidden state] to what enters the target's last layer
 * one position later, and that layer, norm and head follow unchanged. Writes a model folder like the shipped feature
 * draft's. Same seed, same machine: same bytes.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LmSession, toFloat32 } from '../check/lm-session.ts';
import { ModelToolError } from '../errors.ts';
import { featureDraftGraph, PROBE_EMBEDDING, PROBE_LAYER_INPUT, probeGraph } from './draft-graph.ts';
import { seededRandom } from './random.ts';
import { RidgeRegression } from './ridge.ts';
import { writeText } from './self-text.ts';

export interface FeatureDraftOptions {
  readonly seed?: number;
  readonly numTexts?: number;
  readonly tokensPerText?: number;
  /** Per sample, in units of the inputs' mean square. */
  readonly penalty?: number;
  /** Rows that the head keeps: the tokens that the target writes most often. Absent: all. */
  readonly draftVocabSize?: number;
  /** Written to config.json, for services that check which target a draft belongs to. */
  readonly targetDigest?: string;
}

export interface TrainedDraft {
  readonly numSamples: number;
  /** Share of the layer input's variance that the projection explains on the fitted text. */
  readonly explainedVariance: number;
  readonly width: number;
}

/** Errors: ModelToolError bad_folder | unsupported_graph (see featureDraftGraph) | check_failed. */
export async function trainTinyFeatureDraft(
  targetDir: string,
  outDir: string,
  options: FeatureDraftOptions = {},
): Promise<TrainedDraft> {
  const { seed = 1, numTexts = 16, tokensPerText = 256, penalty = 1e-6 } = options;
  const targetBytes = readFileSync(join(targetDir, 'model.onnx'));
  const config = readConfig(targetDir);
  const session = await LmSession.open(probeGraph(targetBytes), targetDir, config.head_dim);
  try {
    const random = seededRandom(seed);
    const counts = new Float64Array(config.vocab_size);
    const fit = new ProjectionFit();
    for (let text = 0; text < numTexts; text++) {
      const promptTokenIds = [config.bos_token_id, Math.floor(random() * config.vocab_size)];
      const temperature = text % 2 === 0 ? 0.7 : 1;
      const tokenIds = await writeText(session, { promptTokenIds, numTokens: tokensPerText, temperature, random });
      for (const tokenId of tokenIds) counts[tokenId]!++;
      await fit.addText(session, tokenIds);
    }
    const keptTokenIds = options.draftVocabSize ? mostFrequent(counts, options.draftVocabSize) : undefined;
    const { projection, explainedVariance, width } = fit.solve(penalty);
    const draft = featureDraftGraph(targetBytes, {
      projection,
      targetFolder: targetDir,
      ...(keptTokenIds && { keptTokenIds }),
    });
    writeDraftFolder(targetDir, outDir, draft, width, { ...options, ...(keptTokenIds && { keptTokenIds }) });
    return { numSamples: fit.numSamples, explainedVariance, width };
  } finally {
    await session.close();
  }
}

/** [embedding of x_{t+1}; f_t] → input of the last layer at t + 1, over all positions of all texts. */
class ProjectionFit {
  #ridge: RidgeRegression | undefined;
  #pairs: { x: Float32Array; y: Float32Array }[] = [];

  get numSamples(): number {
    return this.#pairs.length;
  }

  async addText(session: LmSession, tokenIds: Int32Array): Promise<void> {
    const outputs = await session.run({ tokenIds, past: session.emptyPast(), numPastTokens: 0 });
    const width = outputs.hidden_states?.dims.at(-1) ?? 0;
    const embedding = toFloat32(outputs[PROBE_EMBEDDING]);
    const feature = toFloat32(outputs.hidden_states);
    const layerInput = toFloat32(outputs[PROBE_LAYER_INPUT]);
    this.#ridge ??= new RidgeRegression(2 * width, width);
    for (let t = 0; t + 1 < tokenIds.length; t++) {
      const x = new Float32Array(2 * width);
      x.set(embedding.subarray((t + 1) * width, (t + 2) * width));
      x.set(feature.subarray(t * width, (t + 1) * width), width);
      const y = layerInput.slice((t + 1) * width, (t + 2) * width);
      this.#ridge.add(x, y);
      this.#pairs.push({ x, y });
    }
  }

  solve(penalty: number) {
    if (!this.#ridge) throw new ModelToolError('check_failed', 'no text was written to fit the projection to');
    const projection = this.#ridge.solve(penalty);
    const width = this.#pairs[0]?.y.length ?? 0;
    return { projection, width, explainedVariance: this.#explainedVariance(projection, width) };
  }

  #explainedVariance(projection: Float32Array, width: number): number {
    const mean = new Float64Array(width);
    for (const { y } of this.#pairs) for (let j = 0; j < width; j++) mean[j]! += y[j]! / this.#pairs.length;
    let residual = 0;
    let variance = 0;
    for (const { x, y } of this.#pairs) {
      for (let j = 0; j < width; j++) {
        let predicted = 0;
        for (let i = 0; i < x.length; i++) predicted += x[i]! * projection[i * width + j]!;
        residual += (y[j]! - predicted) ** 2;
        variance += (y[j]! - mean[j]!) ** 2;
      }
    }
    return 1 - residual / variance;
  }
}

/** Ascending ids of the tokens seen most; ties go to the lower id. */
function mostFrequent(counts: Float64Array, numKept: number): Int32Array {
  const byCount = Array.from(counts.keys()).sort((a, b) => counts[b]! - counts[a]! || a - b);
  return Int32Array.from(byCount.slice(0, numKept)).sort();
}

interface TargetConfig extends Record<string, unknown> {
  readonly vocab_size: number;
  readonly head_dim: number;
  readonly bos_token_id: number;
}

function readConfig(targetDir: string): TargetConfig {
  const path = join(targetDir, 'config.json');
  if (!existsSync(path)) throw new ModelToolError('bad_folder', `${targetDir} has no config.json`);
  const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  for (const key of ['vocab_size', 'head_dim', 'bos_token_id']) {
    if (typeof config[key] !== 'number') throw new ModelToolError('bad_folder', `config.json has no number ${key}`);
  }
  return config as TargetConfig;
}

interface FolderContents extends FeatureDraftOptions {
  readonly keptTokenIds?: Int32Array;
}

function writeDraftFolder(
  targetDir: string,
  outDir: string,
  graph: Uint8Array,
  width: number,
  { keptTokenIds, targetDigest }: FolderContents,
): void {
  mkdirSync(outDir, { recursive: true });
  writeFileSync(join(outDir, 'model.onnx'), graph);
  const config = {
    ...readConfig(targetDir),
    num_hidden_layers: 1,
    ...(keptTokenIds && { draft_vocab_size: keptTokenIds.length, draft_to_target: 'd2t.i32' }),
    draft_hidden_states: {
      input: 'features',
      target_output: 'hidden_states',
      own_output: 'hidden_states',
      width,
      dtype: 'float32',
      ...(targetDigest && { target_digest: targetDigest }),
    },
  };
  writeFileSync(join(outDir, 'config.json'), `${JSON.stringify(config, null, 1)}\n`);
  if (keptTokenIds) writeFileSync(join(outDir, 'd2t.i32'), keptTokenIds);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    if (existsSync(join(targetDir, name))) copyFileSync(join(targetDir, name), join(outDir, name));
  }
}
