/** A regular expression as a machine that may be in several states at once (Thompson 1968). */
import type { CodePointRange } from '../character-class.ts';
import { RegexError, type RegexNode } from './parse-regex.ts';

const MAX_STATES = 10_000;

interface Step {
  readonly ranges: readonly CodePointRange[];
  readonly to: number;
}

export class Nfa {
  /** By state: where a character leads, and where nothing leads. */
  readonly steps: Step[][] = [];
  readonly jumps: number[][] = [];
  readonly start: number;
  readonly end: number;

  /** Errors: RegexError. */
  constructor(root: RegexNode) {
    this.start = this.#state();
    this.end = this.#add(root, this.start);
  }

  #state(): number {
    if (this.steps.length === MAX_STATES) throw new RegexError('too many repetitions');
    this.jumps.push([]);
    return this.steps.push([]) - 1;
  }

  /** Adds a node behind a state, and tells the state behind the node. */
  #add(node: RegexNode, from: number): number {
    switch (node.kind) {
      case 'start':
      case 'end':
        throw new RegexError('an anchor in the middle of the regular expression');
      case 'set': {
        const to = this.#state();
        this.steps[from]!.push({ ranges: node.ranges, to });
        return to;
      }
      case 'sequence':
        return node.parts.reduce((state, part) => this.#add(part, state), from);
      case 'choice': {
        const to = this.#state();
        for (const branch of node.branches) {
          const begin = this.#state();
          this.jumps[from]!.push(begin);
          this.jumps[this.#add(branch, begin)]!.push(to);
        }
        return to;
      }
      case 'repeat':
        return this.#repeat(node.part, node, from);
    }
  }

  #repeat(part: RegexNode, { min, max }: { min: number; max: number | null }, from: number): number {
    let state = from;
    for (let i = 0; i < min; i++) state = this.#add(part, state);
    const to = this.#state();
    if (max === null) {
      const loop = this.#state();
      this.jumps[state]!.push(loop);
      this.jumps[this.#add(part, loop)]!.push(loop);
      this.jumps[loop]!.push(to);
      return to;
    }
    this.jumps[state]!.push(to);
    for (let i = min; i < max; i++) {
      const begin = this.#state();
      this.jumps[state]!.push(begin);
      state = this.#add(part, begin);
      this.jumps[state]!.push(to);
    }
    return to;
  }
}
