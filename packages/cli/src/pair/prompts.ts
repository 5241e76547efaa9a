/** What pairs are measured on: a file of the user's, or a few prompts of different kinds. */
import { readFileSync } from 'node:fs';
import { UsageError } from '../command.ts';

const PROMPTS: readonly string[] = [
  'Explain why the sky is blue.',
  'Write a Python function that returns the n-th Fibonacci number, with a docstring.',
  'List five things to check before a long bicycle tour.',
  'Write a short e-mail that moves a meeting from Tuesday to Thursday.',
  'Tell a story about a lighthouse keeper who finds a bottle on the beach.',
  'What is the difference between a virus and a bacterium?',
  'Give the names and birth years of three composers as JSON.',
  'How do I make pancakes? Answer in numbered steps.',
];

/** One prompt a line; a line in quotation marks is JSON and may hold line breaks (\\n). Errors: UsageError. */
export function readPrompts(file: string | undefined): readonly string[] {
  if (file === undefined) return PROMPTS;
  const prompts = readFileSync(file, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => (line.startsWith('"') ? fromJson(line, file) : line));
  if (prompts.length > 0) return prompts;
  throw new UsageError(`${file} has no prompt: there is to be one a line`);
}

function fromJson(line: string, file: string): string {
  try {
    return JSON.parse(line) as string;
  } catch {
    throw new UsageError(`${file}: a line that begins with a quotation mark is to be a JSON string, not ${line}`);
  }
}
