/** `forerunner COMMAND`: finds the command, parses its options, turns errors into one sentence and an exit code. */
import { parseArgs } from 'node:util';
import { type Command, type Output, UsageError } from './command.ts';
import { completionCommand } from './commands/completion.ts';
import { importCommand } from './commands/import.ts';
import { inspectCommand } from './commands/inspect.ts';
import { listCommand } from './commands/list.ts';
import { pairCommand } from './commands/pair.ts';
import { pullCommand } from './commands/pull.ts';
import { rmCommand } from './commands/rm.ts';
import { isExpected } from './expected-errors.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  pull: pullCommand,
  import: importCommand,
  inspect: inspectCommand,
  pair: pairCommand,
  list: listCommand,
  rm: rmCommand,
  completion: completionCommand(() => completedWords()),
};

/** Commands that scripts/forerunner.mjs runs as programs of their own. */
const PROGRAMS = {
  'serve [--target NAME] [--draft NAME]': 'runs the trio on two models; `npm start --` is the same',
  'replay FILE --url URL': "holds an answer's receipt against a target-service",
  'key add|list|revoke --file FILE': 'API keys of the coordinator',
};

/** Options of programs that are no commands here. */
const PROGRAM_OPTIONS = { serve: ['--target', '--draft'], key: ['--file'] };

const COMMON_OPTIONS = {
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

async function main([name = '--help', ...args]: readonly string[]): Promise<void> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    if (!['help', '--help', '-h'].includes(name)) throw new UsageError(`there is no command ${name}`);
    process.stdout.write(overview());
    return;
  }
  const options = { ...command.options, ...COMMON_OPTIONS };
  const { positionals, values } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    process.stdout.write(helpOf(name, command));
    return;
  }
  await command.run({
    positionals,
    values: values as Record<string, string | boolean>,
    output: outputTo(values.json === true),
  });
}

function completedWords(): Record<string, readonly string[]> {
  const optionsOf = ({ options }: Command) => Object.keys({ ...options, ...COMMON_OPTIONS }).map((name) => `--${name}`);
  const own = Object.entries(COMMANDS).map(([name, command]) => [name, optionsOf(command)] as const);
  return { ...Object.fromEntries(own), ...PROGRAM_OPTIONS };
}

function outputTo(json: boolean): Output {
  return {
    json,
    result: (value, lines) =>
      process.stdout.write(json ? `${JSON.stringify(value)}\n` : lines.map((line) => `${line}\n`).join('')),
    note: (line) => void (json || process.stderr.write(`${line}\n`)),
  };
}

function overview(): string {
  const rows = [
    ...Object.entries(COMMANDS).map(([name, { usage, summary }]) => [`${name} ${usage}`, summary] as const),
    ...Object.entries(PROGRAMS),
  ];
  const lines = rows.map(([usage, summary]) => `  ${usage.padEnd(38)} ${summary}`);
  return `usage: forerunner COMMAND [options]

${lines.join('\n')}

  --json    the result as JSON on standard output
  --help    of each command: its options and examples

Exit codes: 0 done, 1 refused with a reason, 2 wrong usage.
`;
}

function helpOf(name: string, { usage, summary, help, examples }: Command): string {
  return `usage: forerunner ${name} ${usage}\n\n${summary}\n\n${help}\n\nexamples:\n${examples.map((line) => `  ${line}\n`).join('')}`;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  if (!isUsage && !isExpected(error)) throw error;
  process.stderr.write(`${(error as Error).message}${isUsage ? '\n(--help shows what there is)' : ''}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
