/**
 * `node bench/src/large-checkpoint.ts FOLDER [--layers N] [--seed N]`: a checkpoint of random weights of 2.97 billion
 * parameters (28 layers), in files of 2 GB each; imports are timed and their memory measured with it.
 */
import { parseArgs } from 'node:util';
import { writeRandomCheckpoint } from './random-checkpoint.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { layers: { type: 'string', default: '28' }, seed: { type: 'string', default: '1' } },
});
const [dir] = positionals;
if (!dir) throw new Error('usage: node bench/src/large-checkpoint.ts FOLDER [--layers N] [--seed N]');
const shape = { hidden: 3072, intermediate: 8192, heads: 24, kvHeads: 8, headDim: 128 };
writeRandomCheckpoint(dir, { ...shape, layers: Number(values.layers) }, Number(values.seed));
