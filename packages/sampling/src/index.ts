export { oneHotDistribution, probOf, type WeightedTokens } from './distribution.ts';
export { DistributionBuilder } from './distribution-builder.ts';
export { drawFrom } from './draw.ts';
export { SamplingError, type SamplingErrorCode } from './errors.ts';
export {
  applyAllowedTokens,
  applyPenalties,
  logSumExp,
  numMaskWords,
  type TokenLogprob,
  topLogprobs,
} from './logits.ts';
export { argmax } from './rank.ts';
export { residualDistribution } from './residual.ts';
export { CounterRng, deriveSeed, STREAM } from './rng.ts';
export type { SamplingParams, TokenDistribution, VerificationOutcome } from './types.ts';
export { type RejectionInput, verifyGreedy, verifyRejection } from './verify.ts';
