/**
 * Exact distributions of what verification emits, over toy models small enough to try everything. Knows nothing of how the
 * rules decide: the borders between the outcomes of the real functions are found by bisection over every uniform, and
 * the lengths between them are the probabilities.
 */
import {
  type SampledVerdict,
  type TokenDistribution,
  type VerificationOutcome,
  verifyBlock,
  verifyRejection,
} from '../src/index.ts';
import { denseProbs } from './support.ts';

/** The distribution of the next token after a context; token strings such as "0212" stand for contexts and drafts. */
export type Model = (context: string) => TokenDistribution;
/** Probabilities of token strings. */
export type Measure = Map<string, number>;

export interface SampledRounds {
  readonly rule: 'rejection' | 'block';
  readonly target: Model;
  readonly draft: Model;
  /** The distributions that the verifier is told; undefined where draft tokens come without. */
  readonly stated: Model | undefined;
  /** Whether the draft ends here. */
  readonly stops: (draft: string, context: string) => boolean;
  /** What of the draft is handed on; all of it, unless a negative control does otherwise. */
  readonly trim?: (draft: string, context: string) => string;
}

/** All that a round may emit after `context`. */
export function roundDistributionOf(round: SampledRounds, context: string, vocabSize: number): Measure {
  const emitted: Measure = new Map();
  const stops = (draft: string) => round.stops(draft, context);
  for (const [drawn, mass] of sampledTexts((draft) => round.draft(context + draft), stops, vocabSize)) {
    addOutcomes(round, context, round.trim?.(drawn, context) ?? drawn, mass, emitted);
  }
  return emitted;
}

function addOutcomes(round: SampledRounds, context: string, draft: string, draftMass: number, emitted: Measure): void {
  const k = draft.length;
  const { stated } = round;
  const contexts = Array.from({ length: k + 1 }, (_, i) => context + draft.slice(0, i));
  const draftTokenIds = Int32Array.from(draft, Number);
  const draftDistributions = stated ? contexts.slice(0, k).map(stated) : [];
  const targetDistributions = contexts.map(round.target);
  const rule = round.rule === 'block' ? verifyBlock : verifyRejection;
  const verify: Verify = (uniforms, followUniform) =>
    rule({
      draftTokenIds,
      draftDistributions,
      targetDistribution: (i) => targetDistributions[i]!,
      acceptanceUniforms: Array.from({ length: k }, (_, i) => uniforms[i] ?? 0.5),
      followUniform,
    });
  const branches = round.rule === 'block' ? blockBranches(verify, k) : rejectionBranches(verify, k);
  for (const { uniforms, mass } of branches) {
    for (const { value, length } of stretchesOf((u) => emittedText(draft, verify(uniforms, u)))) {
      addMass(emitted, value, draftMass * mass * length);
    }
  }
}

type Verify = (uniforms: number[], followUniform: number) => SampledVerdict;

/** Accept uniforms for every way that a round may go, and how probable it is. */
interface Branch {
  readonly uniforms: number[];
  readonly mass: number;
}

/** A uniform is looked at only if all before it accepted. */
function rejectionBranches(verify: Verify, k: number): Branch[] {
  const extend = (branch: Branch): Branch[] => {
    const { uniforms, mass } = branch;
    const i = uniforms.length;
    if (i === k) return [branch];
    return stretchesOf((u) => verify([...uniforms, u], 0.5).numAcceptedTokens > i).flatMap(
      ({ value: accepts, length, middle }) => {
        const next = { uniforms: [...uniforms, middle], mass: mass * length };
        return accepts ? extend(next) : [next];
      },
    );
  };
  return extend({ uniforms: [], mass: 1 });
}

/** Each uniform decides about its own token, whatever the others say; one above 1 never passes. */
function blockBranches(verify: Verify, k: number): Branch[] {
  let branches: Branch[] = [{ uniforms: [], mass: 1 }];
  for (let i = 0; i < k; i++) {
    const passes = (u: number) => {
      const uniforms = new Array<number>(k).fill(2);
      uniforms[i] = u;
      return verify(uniforms, 0.5).numAcceptedTokens === i + 1;
    };
    const stretches = stretchesOf(passes);
    branches = branches.flatMap(({ uniforms, mass }) =>
      stretches.map(({ length, middle }) => ({ uniforms: [...uniforms, middle], mass: mass * length })),
    );
  }
  return branches;
}

/** The distribution of the next `numTokens` tokens when round follows round; what a round emits beyond them is cut off. */
export function jointDistribution(roundDistribution: (context: string) => Measure, numTokens: number): Measure {
  const joint: Measure = new Map();
  const known = new Map<string, Measure>();
  const extend = (text: string, mass: number): void => {
    if (text.length >= numTokens) {
      addMass(joint, text.slice(0, numTokens), mass);
      return;
    }
    let round = known.get(text);
    if (!round) {
      round = roundDistribution(text);
      known.set(text, round);
    }
    for (const [tokens, p] of round) extend(text + tokens, mass * p);
  };
  extend('', 1);
  return joint;
}

/** The distribution of drawing from `model` token by token until `stops` says so. */
export function sampledTexts(model: Model, stops: (text: string) => boolean, vocabSize: number): Measure {
  const texts: Measure = new Map();
  const extend = (text: string, mass: number): void => {
    if (stops(text)) {
      addMass(texts, text, mass);
      return;
    }
    denseProbs(model(text), vocabSize).forEach((p, id) => {
      if (p > 0) extend(text + id, mass * p);
    });
  };
  extend('', 1);
  return texts;
}

export function emittedText(draft: string, outcome: VerificationOutcome): string {
  return draft.slice(0, outcome.numAcceptedTokens) + (outcome.bonusTokenId ?? outcome.recoveredTokenId);
}

/** Half the sum of absolute differences; the measures must have mass 1. */
export function totalVariation(a: Measure, b: Measure): number {
  let sum = 0;
  for (const text of new Set([...a.keys(), ...b.keys()])) sum += Math.abs((a.get(text) ?? 0) - (b.get(text) ?? 0));
  return sum / 2;
}

interface Stretch<T> {
  readonly value: T;
  readonly length: number;
  readonly middle: number;
}

/**
 * Splits (0, 1] into the stretches on which `outcome` has one value, by bisection down to neighbouring numbers. Throws
 * where a stretch is seen to hold another value (a value may not return after it was left).
 */
function stretchesOf<T>(outcome: (u: number) => T): Stretch<T>[] {
  const stretches: Stretch<T>[] = [];
  let start = 2 ** -53; // the smallest uniform; stands for 0
  for (;;) {
    const value = outcome(start);
    const end = outcome(1) === value ? 1 : firstBeyond((u) => outcome(u) === value, start);
    const middle = (start + end) / 2;
    if (outcome(middle) !== value && middle !== end)
      throw new Error(`the outcome is not of one piece below u = ${end}`);
    stretches.push({ value, length: end - start, middle });
    if (end === 1) return stretches;
    start = end;
  }
}

/** The first number above `inside` at which `holds` fails, given that it fails at 1. */
function firstBeyond(holds: (u: number) => boolean, inside: number): number {
  let beyond = 1;
  for (;;) {
    const middle = (inside + beyond) / 2;
    if (middle === inside || middle === beyond) return beyond;
    if (holds(middle)) inside = middle;
    else beyond = middle;
  }
}

function addMass(measure: Measure, text: string, mass: number): void {
  measure.set(text, (measure.get(text) ?? 0) + mass);
}
