/**
 * A regular expression as a machine that is in one state, with texts of bounded length, and without states that lead
 * nowhere or do the same as others.
 */
import { type CodePointRange, MAX_CODE_POINT } from '../character-class.ts';
import { normalised } from './code-points.ts';
import { Nfa } from './nfa.ts';
import { RegexError, type RegexNode } from './parse-regex.ts';

export interface DfaState {
  readonly accepts: boolean;
  /** Where characters lead; those of no step may not stand here. */
  readonly steps: readonly { readonly ranges: readonly CodePointRange[]; readonly to: number }[];
}

export interface Lengths {
  readonly min: number;
  /** null: no end. */
  readonly max: number | null;
}

const MAX_STATES = 600;
/** Comparisons of characters with ranges: some tenths of a second on a busy machine. */
const MAX_WORK = 5_000_000;

interface RawState {
  readonly accepts: boolean;
  /** By class of characters, -1 where none leads on. */
  readonly next: Int32Array;
}

/** States, the first of which begins. Errors: RegexError, also when no text matches. */
export function dfaOf(root: RegexNode, lengths: Lengths): DfaState[] {
  const nfa = new Nfa(root);
  const firsts = firstsOfClasses(nfa);
  const machine = merged(useful(determinised(nfa, firsts, lengths)));
  const rangesOf = (classes: readonly number[]): CodePointRange[] =>
    normalised(classes.map((i) => [firsts[i]!, (firsts[i + 1] ?? MAX_CODE_POINT + 1) - 1] as const));
  return machine.map(({ accepts, next }) => {
    const classesByTarget = Map.groupBy(next.keys(), (i) => next[i]!);
    classesByTarget.delete(-1);
    return { accepts, steps: Array.from(classesByTarget, ([to, classes]) => ({ to, ranges: rangesOf(classes) })) };
  });
}

/** Characters between two of these are treated alike everywhere. */
function firstsOfClasses(nfa: Nfa): number[] {
  const firsts = new Set([0]);
  for (const { ranges } of nfa.steps.flat()) {
    for (const [first, last] of ranges) {
      firsts.add(first);
      if (last < MAX_CODE_POINT) firsts.add(last + 1);
    }
  }
  return [...firsts].sort((a, b) => a - b);
}

/** Subsets of states (Rabin and Scott 1959), with the number of characters so far where it is bounded. */
function determinised(nfa: Nfa, firsts: readonly number[], { min, max }: Lengths): RawState[] {
  const numCounted = max ?? min;
  const result: RawState[] = [];
  const known = new Map<string, number>();
  const waiting: { states: number[]; count: number }[] = [];
  const indexOf = (states: number[], count: number): number => {
    const key = `${count}:${states}`;
    const index = known.get(key) ?? known.size;
    if (index === known.size) {
      if (index === MAX_STATES) throw new RegexError(`more than ${MAX_STATES} states`);
      known.set(key, index);
      waiting.push({ states, count });
    }
    return index;
  };
  indexOf(closure(nfa, [nfa.start]), 0);
  let work = 0;
  for (let subset = waiting.shift(); subset; subset = waiting.shift()) {
    const { states, count } = subset;
    const mayGoOn = max === null || count < max;
    const steps = mayGoOn ? states.flatMap((state) => nfa.steps[state]!) : [];
    work += firsts.length * steps.reduce((sum, { ranges }) => sum + 1 + ranges.length, 0) + 10 * states.length;
    if (work > MAX_WORK) throw new RegexError('too many characters and repetitions to try');
    const next = Int32Array.from(firsts, (first) => {
      const targets = steps.filter(({ ranges }) => ranges.some(([a, b]) => a <= first && first <= b));
      if (targets.length === 0) return -1;
      return indexOf(
        closure(
          nfa,
          targets.map(({ to }) => to),
        ),
        Math.min(count + 1, numCounted),
      );
    });
    result.push({ accepts: states.includes(nfa.end) && count >= min, next });
  }
  return result;
}

function closure(nfa: Nfa, states: readonly number[]): number[] {
  const all = new Set(states);
  for (const state of all) for (const to of nfa.jumps[state]!) all.add(to);
  return [...all].sort((a, b) => a - b);
}

/** Without states from which no text ends. */
function useful(states: readonly RawState[]): RawState[] {
  const isUseful = states.map(({ accepts }) => accepts);
  for (let isChanged = true; isChanged; ) {
    isChanged = false;
    states.forEach(({ next }, i) => {
      if (isUseful[i] || !next.some((to) => to >= 0 && isUseful[to])) return;
      isUseful[i] = true;
      isChanged = true;
    });
  }
  if (!isUseful[0]) throw new RegexError('no text matches');
  return states.map(({ accepts, next }) => ({ accepts, next: next.map((to) => (to >= 0 && isUseful[to] ? to : -1)) }));
}

/** States that do the same are one (Moore 1956); those that cannot be reached go. A large machine stays as it is. */
function merged(states: readonly RawState[]): RawState[] {
  if (states.length ** 2 * states[0]!.next.length > MAX_WORK) return [...states];
  let blocks: number[] = states.map(({ accepts }) => (accepts ? 1 : 0));
  for (let numBlocks = 0; ; ) {
    const numbers = new Map<string, number>();
    const refined = states.map(({ next }, i) => {
      const key = `${blocks[i]}:${next.map((to) => (to < 0 ? -1 : blocks[to]!))}`;
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      return numbers.get(key)!;
    });
    blocks = refined;
    if (numbers.size === numBlocks) break;
    numBlocks = numbers.size;
  }
  const order = [blocks[0]!];
  const result: RawState[] = [];
  for (const block of order) {
    const { accepts, next } = states[blocks.indexOf(block)]!;
    const renamed = next.map((to) => {
      if (to < 0) return -1;
      const target = blocks[to]!;
      if (!order.includes(target)) order.push(target);
      return order.indexOf(target);
    });
    result.push({ accepts, next: renamed });
  }
  return result;
}
