/**
 * The exact joint law of a coupled round over three tokens: two racers with weights q and p and the same independent
 * Exp(1) variables E. Nothing is drawn.
 */
import type { VerificationOutcome } from '../src/index.ts';
import { emittedText, type Model } from './enumerate.ts';
import { denseProbs } from './support.ts';

type Verify = (draftTokenIds: Int32Array, targetTokenIds: Int32Array) => VerificationOutcome;
/** Rules with the chance that each judges, given p and q at the first place and the round's guesses. */
export type Follows = (p: readonly number[], q: readonly number[], guesses: Int32Array) => [number, Verify][];

const V = 3;

/** Text that a round emits -> probability; each guess, and the target's token at its place, are of one race. */
export function coupledRounds(
  target: Model,
  draft: Model,
  context: string,
  k: number,
  follows: Follows,
): Map<string, number> {
  const emitted = new Map<string, number>();
  const visit = (guesses: string, targets: number[], mass: number): void => {
    const p = denseProbs(target(context + guesses), V);
    if (guesses.length < k) {
      const q = denseProbs(draft(context + guesses), V);
      for (let x = 0; x < V; x++)
        for (let y = 0; y < V; y++) visit(`${guesses}${x}`, [...targets, y], mass * raceLaw(q, p, x, y));
      return;
    }
    const ids = Int32Array.from(guesses, Number);
    const rules = follows(denseProbs(target(context), V), denseProbs(draft(context), V), ids);
    for (let y = 0; y < V; y++) {
      for (const [chance, verify] of rules) {
        const text = emittedText(guesses, verify(ids, Int32Array.from([...targets, y])));
        emitted.set(text, (emitted.get(text) ?? 0) + mass * p[y]! * chance);
      }
    }
  };
  visit('', [], 1);
  return emitted;
}

/**
 * P(argmin E/q = x and argmin E/p = y). For x = y it is 1 / Σ max(p_v/p_x, q_v/q_x). Else, with a = E_x and b = E_y = t·a,
 * both win where q_y/q_x <= t <= p_y/p_x and the third E_w >= a · m(t), m(t) = max(q_w/q_x, t · p_w/p_y); over a the density
 * a · exp(-a (1 + t + m(t))) integrates to 1 / (1 + t + m(t))², which is integrated over t on both sides of m's corner.
 */
function raceLaw(q: readonly number[], p: readonly number[], x: number, y: number): number {
  if (x === y) return 1 / p.reduce((sum, _, v) => sum + Math.max(p[v]! / p[x]!, q[v]! / q[x]!), 0);
  const [low, high] = [q[y]! / q[x]!, p[y]! / p[x]!];
  if (high <= low) return 0;
  const w = V - x - y;
  const [flat, slope] = [q[w]! / q[x]!, p[w]! / p[y]!];
  const corner = Math.min(Math.max(flat / slope, low), high);
  const integral = (c: number, d: number, from: number, to: number) => (1 / (c + d * from) - 1 / (c + d * to)) / d;
  return integral(1 + flat, 1, low, corner) + integral(1, 1 + slope, corner, high);
}
