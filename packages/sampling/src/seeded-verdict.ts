/** A verdict with its noise: every number is a function of the seed, the absolute position and the token's place in the round. */
import { CounterRng, STREAM } from './rng.ts';
import { type SampledRound, type SampledVerdict, verifyBlock, verifyRejection } from './verify.ts';

const RULES = { rejection: verifyRejection, block: verifyBlock } as const;

export interface SeededRound extends Omit<SampledRound, 'acceptanceUniforms' | 'followUniform'> {
  readonly seed: number;
  /** Absolute position of the first draft token. */
  readonly position: number;
}

/** Errors: those of the rule; invalid_argument for a seed. */
export function seededVerdict(rule: keyof typeof RULES, { seed, position, ...round }: SeededRound): SampledVerdict {
  const rng = new CounterRng(seed);
  return RULES[rule]({
    ...round,
    acceptanceUniforms: Array.from(round.draftTokenIds, (_, i) => rng.uniform(STREAM.acceptance, position + i, i)),
    followUniform: rng.uniform(STREAM.followDraw, position),
  });
}
