export { drawCoupled } from './coupled-draw.ts';
export { CoupledNoise } from './coupled-noise.ts';
export { oneHotDistribution, probOf, type WeightedTokens } from './distribution.ts';
export { drawFrom } from './draw.ts';
export { SamplingError, type SamplingErrorCode } from './errors.ts';
export {
  adjustLogits,
  applyAllowedTokens,
  logprobOf,
  logSumExp,
  numMaskWords,
  type TokenLogprob,
  topLogprobs,
} from './logits.ts';
export { argmax } from './rank.ts';
export { residualDistribution } from './residual.ts';
export { CounterRng, deriveSeed, STREAM } from './rng.ts';
export { Sampler } from './sampler.ts';
export { type SeededRound, seededVerdict } from './seeded-verdict.ts';
export type { SamplingParams, TextSoFar, TokenDistribution, VerificationOutcome } from './types.ts';
export { type SampledRound, type SampledVerdict, verifyBlock, verifyRejection } from './verify.ts';
export { verifyTargetTokens } from './verify-target-tokens.ts';
