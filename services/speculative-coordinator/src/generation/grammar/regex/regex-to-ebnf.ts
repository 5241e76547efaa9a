/**
 * A regular expression as rules of a grammar: one for each state of its machine, each of which writes a character and
 * leads to the next. So no rule calls another in the middle of a text, which XGrammar would be slow at.
 */
import type { CodePointRange } from '../character-class.ts';
import type { Rules } from '../ebnf.ts';
import { dfaOf, type Lengths } from './dfa.ts';
import { parseRegex, type RegexNode } from './parse-regex.ts';

/** How a text is written, raw or in a JSON string. */
export interface Spelling {
  /** The ways to write one character of a set; none when none of it can be written. */
  ways(ranges: readonly CodePointRange[]): readonly string[];
  /** What follows the text. */
  readonly end: string;
}

export interface RegexOptions extends Lengths {
  /** Anything may stand around a match where no anchor forbids it, as in JSON Schema; else the whole text matches. */
  readonly isSearch: boolean;
  readonly spelling: Spelling;
}

/** The rule that begins. Errors: RegexError. */
export function regexToEbnf(source: string, rules: Rules, { isSearch, spelling, ...lengths }: RegexOptions): string {
  const root = parseRegex(source);
  const branches = root.kind === 'choice' ? root.branches : [root];
  const states = dfaOf({ kind: 'choice', branches: branches.map((one) => anchored(one, isSearch)) }, lengths);
  const names = states.map(() => rules.reserve());
  states.forEach(({ accepts, steps }, i) => {
    const ways = steps.flatMap(({ ranges, to }) => spelling.ways(ranges).map((way) => `${way} ${names[to]}`));
    rules.define(names[i]!, [...(accepts ? [spelling.end] : []), ...ways].join(' | '));
  });
  return names[0]!;
}

const ANYTHING: RegexNode = {
  kind: 'repeat',
  part: {
    kind: 'set',
    ranges: [
      [0, 0xd7ff],
      [0xe000, 0x10_ff_ff],
    ],
  },
  min: 0,
  max: null,
};

/** A branch without its anchors, and with whatever may stand where there is none. */
function anchored(branch: RegexNode, isSearch: boolean): RegexNode {
  const parts = branch.kind === 'sequence' ? [...branch.parts] : [branch];
  const [only] = parts;
  // A group around everything, as in (^a$|b), keeps its anchors to itself.
  if (parts.length === 1 && only!.kind === 'sequence') return anchored(only!, isSearch);
  if (parts.length === 1 && only!.kind === 'choice') {
    return { kind: 'choice', branches: only!.branches.map((one) => anchored(one, isSearch)) };
  }
  if (parts[0]?.kind === 'start') parts.shift();
  else if (isSearch) parts.unshift(ANYTHING);
  if (parts.at(-1)?.kind === 'end') parts.pop();
  else if (isSearch) parts.push(ANYTHING);
  return { kind: 'sequence', parts };
}
