/** What a command of `forerunner` is: words for the help, options, and what it does. */
import type { ParseArgsOptionsConfig } from 'node:util';

export interface Command {
  /** After the command's name: 'SOURCE [options]'. */
  readonly usage: string;
  readonly summary: string;
  /** Lines below the usage, two spaces in. */
  readonly help: string;
  readonly examples: readonly string[];
  readonly options: ParseArgsOptionsConfig;
  run(input: CommandInput): Promise<void> | void;
}

export interface CommandInput {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly output: Output;
}

/** Results go to standard output, everything else to standard error: `--json` can be piped. */
export interface Output {
  readonly json: boolean;
  /** One result: `value` with --json, else `lines`. */
  result(value: unknown, lines: readonly string[]): void;
  /** Something that happens on the way; not with --json. */
  note(line: string): void;
}

/** Wrong usage: exit code 2, with a pointer to the help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function textOf(values: CommandInput['values'], name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** Errors: UsageError, when it is no number or out of bounds. */
export function numberOf(values: CommandInput['values'], name: string, min: number, max: number): number {
  const text = textOf(values, name) ?? '';
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (number >= min && number <= max) return number;
  throw new UsageError(`--${name} is a number from ${min} to ${max}, not ${text}`);
}

/** Errors: as above. */
export function integerOf(values: CommandInput['values'], name: string, min: number, max: number): number {
  const number = numberOf(values, name, min, max);
  if (Number.isInteger(number)) return number;
  throw new UsageError(`--${name} is a whole number from ${min} to ${max}, not ${number}`);
}
