/** A checkpoint on this machine becomes a model that can be served. */
import { basename, join } from 'node:path';
import {
  type ImportedModel,
  importCheckpoint,
  openCheckpoint,
  PRECISIONS,
  type Precision,
} from '@forerunner/model-import';
import { importedModelsDir } from '@forerunner/service-kit/model-names';
import { type Command, textOf, UsageError } from '../command.ts';
import { bytesText, durationText, Progress } from '../progress.ts';

export const importCommand: Command = {
  usage: 'SOURCE [options]',
  summary: 'makes a model of a checkpoint: a folder with safetensors, or a GGUF file',
  help: `  --name NAME            what it is called here (made from SOURCE and the precision)
  --precision PRECISION  int8 (8-bit blocks, for CPUs: the default), int4 (4-bit blocks; for large models),
                         float16 (for GPUs) or float32 (a yardstick)`,
  examples: [
    'forerunner import ~/Downloads/Qwen2.5-0.5B-Instruct',
    'forerunner import SmolLM2-135M-Instruct.Q4_1.gguf --name smol',
    'forerunner import ./Llama-3.2-1B --precision int4 --name llama-1b',
  ],
  options: { name: { type: 'string' }, precision: { type: 'string', default: 'int8' } },
  run({ positionals, values, output }) {
    const [source, ...rest] = positionals;
    if (!source || rest.length > 0) throw new UsageError('import wants one SOURCE');
    const precision = precisionOf(textOf(values, 'precision') ?? '');
    const name = modelName(textOf(values, 'name') ?? defaultName(source, precision));
    const startMs = performance.now();
    const imported = importFrom(source, join(importedModelsDir(), name), precision, output.json);
    const seconds = (performance.now() - startMs) / 1000;
    const { dir, family, numParameters, numBytes } = imported;
    output.result({ name, dir, family, precision, parameters: numParameters, bytes: numBytes, seconds }, [
      `${name}: ${family}, ${(numParameters / 1e6).toFixed(0)} million parameters, ${precision}, ${bytesText(numBytes)}, ${durationText(seconds)}`,
      `  ${dir}`,
      `  npm start -- --target ${name}`,
    ]);
  },
};

function importFrom(source: string, outDir: string, precision: Precision, isQuiet: boolean): ImportedModel {
  const checkpoint = openCheckpoint(source);
  const progress = new Progress(`importing ${basename(source)}`);
  try {
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

function precisionOf(text: string): Precision {
  const precision = PRECISIONS.find((known) => known === text);
  if (precision) return precision;
  throw new UsageError(`--precision is ${PRECISIONS.join(', ')}, not ${text}`);
}

/** 'Qwen2.5-0.5B-Instruct' → 'qwen2.5-0.5b-instruct-int8'. */
function defaultName(source: string, precision: Precision): string {
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
