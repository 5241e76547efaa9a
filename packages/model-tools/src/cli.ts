/** The command line over model folders; docs/models.md shows how it is used. All errors end as one sentence. */
import { parseArgs } from 'node:util';
import { GraphError } from '@forerunner/onnx-graph';
import { checkSameFunction } from './check/checks.ts';
import { type CheckVerdict, REWRITES, type RewriteCommand, verdictOf } from './commands.ts';
import { dequantise } from './dequantise.ts';
import { ModelToolError } from './errors.ts';
import { trainTinyFeatureDraft } from './feature-draft/train.ts';
import { describeModelFolder } from './inspect.ts';
import { headDimOf, type ModelFolder, openModelFolder, writeModelFolder } from './model-folder.ts';
import { shardExternalData } from './shard.ts';

const USAGE = `usage: node packages/model-tools/src/cli.ts COMMAND IN [OUT] [options]

IN and OUT are model folders (model.onnx or onnx/model.onnx, and config.json). OUT may be IN: the graph is replaced.

  inspect IN                     what the graph can do, and what could be added
${Object.entries(REWRITES)
  .map(([name, { purpose }]) => `  ${`${name} IN OUT`.padEnd(30)} ${purpose}`)
  .join('\n')}
  shard IN OUT                   weights into files of at most --max-mb (45)
  dequantise IN OUT              4- and 8-bit weights out in float32, for benchmarks (no check: it is another function)
  train-feature-draft IN OUT     a small feature draft for a small float32 target; --seed, --draft-vocab-size

  --check     run the original and the result over the same tokens before anything is written (shard: after)
`;

const COMMANDS = new Set(['inspect', 'shard', 'dequantise', 'train-feature-draft', ...Object.keys(REWRITES)]);

const DEQUANTISED_FILE_BYTES = 1e9;

const OPTIONS = {
  check: { type: 'boolean', default: false },
  'max-mb': { type: 'string', default: '45' },
  seed: { type: 'string', default: '1' },
  'draft-vocab-size': { type: 'string' },
  help: { type: 'boolean', default: false },
} as const;

async function main(args: readonly string[]): Promise<void> {
  const { positionals, values } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const [command, inDir, outDir] = positionals;
  if (values.help || !command) {
    print(USAGE);
    return;
  }
  if (!COMMANDS.has(command)) throw new UsageError(`there is no command ${command}`);
  if (!inDir) throw new UsageError(`${command} needs a model folder`);
  if (command === 'inspect') {
    print(describeModelFolder(inDir).join('\n'));
    return;
  }
  if (!outDir) throw new UsageError(`${command} needs a folder to write to`);
  if (command === 'shard')
    return shard(openModelFolder(inDir), outDir, positive('max-mb', values['max-mb']), values.check);
  if (command === 'dequantise') {
    dequantise(openModelFolder(inDir), outDir, DEQUANTISED_FILE_BYTES);
    print(`${outDir}: written`);
    return;
  }
  if (command === 'train-feature-draft') {
    const size = values['draft-vocab-size'];
    const trained = await trainTinyFeatureDraft(inDir, outDir, {
      seed: positive('seed', values.seed),
      ...(size !== undefined && { draftVocabSize: positive('draft-vocab-size', size) }),
    });
    const variance = trained.explainedVariance.toFixed(2);
    print(`${outDir}: fitted to ${trained.numSamples} tokens, explained variance ${variance}`);
    return;
  }
  await rewrite(REWRITES[command]!, openModelFolder(inDir), outDir, values.check);
}

async function rewrite(tool: RewriteCommand, source: ModelFolder, outDir: string, check: boolean): Promise<void> {
  const rewritten = tool.rewrite(source.graphBytes);
  if (check) report(await tool.check(checkedModel(source, rewritten, source.graphDir)));
  writeModelFolder(source, outDir, rewritten);
  print(`${outDir}: written`);
}

async function shard(source: ModelFolder, outDir: string, maxMegabytes: number, check: boolean): Promise<void> {
  const fileNames = shardExternalData(source, outDir, maxMegabytes * 1e6);
  print(`${outDir}: weights in ${fileNames.join(', ')}`);
  if (!check) return;
  const result = openModelFolder(outDir);
  report(verdictOf(await checkSameFunction(checkedModel(source, result.graphBytes, result.graphDir))));
}

function checkedModel(source: ModelFolder, rewritten: Uint8Array, rewrittenFolder: string) {
  const headDim = headDimOf(source.config);
  return { original: source.graphBytes, rewritten, folder: source.graphDir, rewrittenFolder, headDim };
}

function report({ ok, lines }: CheckVerdict): void {
  print(lines.join('\n'));
  if (!ok) throw new ModelToolError('check_failed', 'the result does not say what the original says');
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UsageError(`--${name} must be a whole number above 0, not ${text}`);
}

class UsageError extends Error {}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  if (!isUsage && !(error instanceof ModelToolError || error instanceof GraphError)) throw error;
  process.stderr.write(`${(error as Error).message}${isUsage ? '\n(--help shows the commands)' : ''}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
