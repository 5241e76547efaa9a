/** A checkpoint on this machine becomes a model that can be served; what its precision costs is measured and said. */
import { readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type Checkpoint,
  ImportError,
  type ImportedModel,
  importCheckpoint,
  openCheckpoint,
  PRECISIONS,
  type Precision,
} from '@forerunner/model-import';
import { importedModelsDir } from '@forerunner/service-kit/model-names';
import { Tokenizer } from '@forerunner/tokenizer';
import { type Command, textOf, UsageError } from '../command.ts';
import { type Comparison, compareModels } from '../compare.ts';
import { memoryLine } from '../known-models.ts';
import { bytesText, durationText, Progress } from '../progress.ts';
import { SAMPLE_TEXT } from '../sample-text.ts';

export const importCommand: Command = {
  usage: 'SOURCE [options]',
  summary: 'makes a model of a checkpoint: a folder with safetensors, or a GGUF file',
  help: `  --name NAME            what it is called here (made from SOURCE and the precision)
  --precision PRECISION  int8 (8-bit blocks, for CPUs: the default), int4 (4-bit blocks; for large models),
                         float16 (for GPUs) or float32 (a yardstick)
  --compare WHEN         whether the result is run beside the source in float32, over a text, and how far they are
                         apart is said: auto (up to 200 million parameters: the default), always or never
  --text FILE            the text for that`,
  examples: [
    'forerunner import ~/Downloads/Qwen2.5-0.5B-Instruct',
    'forerunner import SmolLM2-135M-Instruct.Q4_1.gguf --name smol',
    'forerunner import ./Llama-3.2-1B --precision int4 --name llama-1b',
  ],
  options: {
    name: { type: 'string' },
    precision: { type: 'string', default: 'int8' },
    compare: { type: 'string', default: 'auto' },
    text: { type: 'string' },
  },
  async run({ positionals, values, output }) {
    const [source, ...rest] = positionals;
    if (!source || rest.length > 0) throw new UsageError('import wants one SOURCE');
    const precision = precisionOf(textOf(values, 'precision') ?? '');
    const name = modelName(textOf(values, 'name') ?? defaultName(source, precision));
    const compare = compareOf(textOf(values, 'compare') ?? '');
    const textFile = textOf(values, 'text');
    const text = textFile === undefined ? SAMPLE_TEXT : readFileSync(textFile, 'utf8');
    const startMs = performance.now();
    const note = (line: string) => output.note(`${name} ${line}`);
    const imported = importFrom(source, join(importedModelsDir(), name), precision, output.json, note);
    const seconds = (performance.now() - startMs) / 1000;
    const { dir, family, numParameters, numBytes } = imported;
    const isCompared =
      precision !== 'float32' && (compare === 'always' || (compare === 'auto' && numParameters <= COMPARED_PARAMETERS));
    const comparison = isCompared ? await compareToSource(source, imported.dir, text, output.json) : undefined;
    const result = { name, dir, family, precision, parameters: numParameters, bytes: numBytes, seconds, comparison };
    output.result(result, [
      `${name}: ${family}, ${(numParameters / 1e6).toFixed(0)} million parameters, ${precision}, ${bytesText(numBytes)}, ${durationText(seconds)}`,
      `  ${dir}`,
      ...(comparison ? [comparisonLine(comparison)] : []),
      `  npm start -- --target ${name}`,
    ]);
  },
};

/** Both models are loaded for it, some nine bytes a parameter: more would take over 2 GB. */
const COMPARED_PARAMETERS = 200e6;

async function compareToSource(source: string, dir: string, text: string, isQuiet: boolean): Promise<Comparison> {
  const tokenIds = Tokenizer.load(dir).encode(text);
  const float32Dir = join(importedModelsDir(), `${basename(dir)}.importing-${process.pid}-float32`);
  let progress: Progress | undefined; // begins when both are loaded
  try {
    importFrom(source, float32Dir, 'float32', isQuiet);
    return await compareModels(float32Dir, dir, tokenIds, (done, total) => {
      progress ??= new Progress(`comparing ${basename(dir)}`, 'tokens');
      if (!isQuiet) progress.update(done, total);
    });
  } finally {
    progress?.end();
    rmSync(float32Dir, { recursive: true, force: true });
  }
}

function comparisonLine({ numTokens, klDivergence, agreement }: Comparison): string {
  const percent = (100 * agreement).toFixed(1);
  return `  beside float32, over ${numTokens} tokens: KL divergence ${klDivergence.toPrecision(2)}, the same likeliest token in ${percent} %`;
}

function compareOf(text: string): 'auto' | 'always' | 'never' {
  if (text === 'auto' || text === 'always' || text === 'never') return text;
  throw new UsageError(`--compare is auto, always or never, not ${text}`);
}

/** `note` hears what the model will need, before work begins. */
function importFrom(
  source: string,
  outDir: string,
  precision: Precision,
  isQuiet: boolean,
  note: (line: string) => void = () => {},
): ImportedModel {
  const checkpoint = openCheckpoint(source);
  const progress = new Progress(`importing ${basename(source)}`);
  try {
    requireTokenizer(source, checkpoint);
    note(memoryLine(checkpoint.config, precision));
    return importCheckpoint(checkpoint, outDir, {
      precision,
      onProgress: ({ numValues, totalValues }) => {
        if (!isQuiet) progress.update((checkpoint.numBytes * numValues) / totalValues, checkpoint.numBytes);
      },
    });
  } finally {
    progress.end();
    checkpoint.close();
  }
}

/** A model without one cannot be served. */
function requireTokenizer(source: string, checkpoint: Checkpoint): void {
  const companions = checkpoint.companions();
  const missing = ['tokenizer.json', 'tokenizer_config.json'].find((name) => !companions.has(name));
  if (missing === undefined) return;
  const how = "transformers' AutoTokenizer writes it: from_pretrained(…).save_pretrained(…)";
  throw new ImportError('unsupported_tokenizer', `${source} has no ${missing}; ${how}`);
}

function precisionOf(text: string): Precision {
  const precision = PRECISIONS.find((known) => known === text);
  if (precision) return precision;
  throw new UsageError(`--precision is ${PRECISIONS.join(', ')}, not ${text}`);
}

/** 'Qwen2.5-0.5B-Instruct' → 'qwen2.5-0.5b-instruct-int8'. */
export function defaultName(source: string, precision: string): string {
  const stem = basename(source).replace(/\.gguf$/i, '');
  return `${stem}-${precision}`.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-');
}

/** Names are folders. */
function modelName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  throw new UsageError(
    `--name may have letters, digits, ".", "_" and "-", and begins with a letter or digit: not ${name}`,
  );
}
