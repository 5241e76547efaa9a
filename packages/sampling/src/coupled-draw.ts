/**
 * The draw of coupled verification: the token with the least E(v)/w(v), the lowest id among equals. As E(v) are
 * independent exponentials, that is a draw from the distribution proportional to w (the Gumbel-max trick, Gumbel 1954, as
 * a race of exponentials). Two sides that race with the same noise mostly draw the same token: with probability at least
 * (1 - TV)/(1 + TV), Daliri, Musco, Suresh 2024 (arXiv:2408.07978).
 */
import { type CoupledNoise, NOISE_BLOCK_SIZE, noiseBlockOf } from './coupled-noise.ts';
import type { WeightedTokens } from './distribution.ts';
import { SamplingError } from './errors.ts';
import { expNegative } from './exp.ts';
import { argmax, skipRanked } from './rank.ts';

/** Far more than weights, logarithms and quotients err, far less than matters to the speed. */
const SLACK = 1e-9;

/** The race over listed weights, which need not add up to 1. Errors: invalid_distribution. */
export function drawCoupled({ tokenIds, probs }: WeightedTokens, noise: CoupledNoise): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < probs.length; i++) {
    const weight = probs[i]!;
    if (!(weight >= 0)) throw new SamplingError('invalid_distribution', `entry ${i} of the distribution is ${weight}`);
    if (weight === 0) continue;
    const tokenId = tokenIds ? tokenIds[i]! : i;
    if (noise.minimumOf(noiseBlockOf(tokenId)) > least * weight * (1 + SLACK)) continue; // it cannot win
    const time = noise.exponential(tokenId) / weight;
    if (time >= least) continue;
    least = time;
    best = tokenId;
  }
  if (best < 0) throw new SamplingError('invalid_distribution', 'the entries of the distribution add up to 0');
  return best;
}

/**
 * The race over a whole row of logits, each with the weight exp((logit - highest) · scale), without weighing the row: one
 * pass for the highest logit of each block of ids, then only what a block's least E(v) leaves a chance is looked at.
 * Errors: invalid_logits.
 */
export function drawCoupledFromLogits(row: Float32Array, scale: number, noise: CoupledNoise): number {
  const blockMaxima = new Float32Array(Math.ceil(row.length / NOISE_BLOCK_SIZE));
  for (let block = 0; block < blockMaxima.length; block++) blockMaxima[block] = maximumOf(row, block);
  const likeliestBlock = argmax(blockMaxima); // refuses unusable rows
  const highest = blockMaxima[likeliestBlock]!;
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  const race = (block: number): void => {
    // E >= minimum, so a token wins only if its weight exceeds minimum / least.
    const threshold = highest + (Math.log(noise.minimumOf(block) / least) - SLACK) / scale;
    if (blockMaxima[block]! <= threshold) return;
    const end = Math.min((block + 1) * NOISE_BLOCK_SIZE, row.length);
    let tokenId = skipRanked(row, block * NOISE_BLOCK_SIZE, threshold, end);
    for (; tokenId < end; tokenId = skipRanked(row, tokenId + 1, threshold, end)) {
      const weight = expNegative((row[tokenId]! - highest) * scale);
      if (weight === 0 || noise.minimumOf(block) > least * weight * (1 + SLACK)) continue;
      const time = noise.exponential(tokenId) / weight;
      if (time < least || (time === least && tokenId < best)) {
        least = time;
        best = tokenId;
      }
    }
  };
  race(likeliestBlock); // a good time to begin with lets most others be passed over
  for (let block = 0; block < blockMaxima.length; block++) if (block !== likeliestBlock) race(block);
  return best;
}

/** The highest logit of a block of ids. Errors: invalid_logits. */
function maximumOf(row: Float32Array, block: number): number {
  const end = Math.min((block + 1) * NOISE_BLOCK_SIZE, row.length);
  let best = Number.NEGATIVE_INFINITY;
  for (let i = skipRanked(row, block * NOISE_BLOCK_SIZE, best, end); i < end; i = skipRanked(row, i + 1, best, end)) {
    best = row[i]!;
    if (!(best < Number.POSITIVE_INFINITY))
      throw new SamplingError('invalid_logits', `logit ${i} of the row is ${best}`);
  }
  return best;
}
