/**
 * `node bench/src/prefix.ts`: time to the first token of a prompt that comes again, and of each turn of a chat, through
 * HTTP, with and without cached prefixes in turns. Ratios are what counts; greedy texts must be the same.
 *
 *   node bench/src/prefix.ts [--tokens 2800] [--repeats 3] [--turns 5] [--target 135m] [--draft 135m-feature-draft]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answer, startTrio, streamEvents, type Trio } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '2800' },
    repeats: { type: 'string', default: '3' },
    turns: { type: 'string', default: '5' },
    target: { type: 'string', default: '135m' },
    draft: { type: 'string', default: '135m-feature-draft' },
  },
});

/** Characters of an average token of the prompts. */
const TOKEN_CHARACTERS = 4.6;
const ANSWER_TOKENS = 32;
const CHAT_TOKENS = 400;

const WAYS = {
  'default drafting': {},
  'target alone': { speculative: false },
} as const;
type Way = keyof typeof WAYS;

interface Timed {
  readonly ttftMs: number;
  readonly text: string;
  readonly usage: Answer['usage'];
  readonly acceptedTokens: number;
}

const startWith = (prefixCache: boolean): Promise<Trio> =>
  startTrio({
    target: values.target,
    draft: values.draft,
    env: { LOG_LEVEL: 'warn', PREFIX_CACHE: String(prefixCache) },
    coordinatorEnv: {
      MAX_DRAFT_TOKENS: '6',
      TARGET_TIMEOUT_MS: '600000', // a busy machine reads a long prompt for minutes
    },
  });
const trios = { reuse: await startWith(true), 'no reuse': await startWith(false) };
type Variant = keyof typeof trios;
const variants = Object.keys(trios) as Variant[];

const results: { way: Way; scenario: string; step: number; variant: Variant; timed: Timed }[] = [];
try {
  await Promise.all(variants.map((variant) => ask(variant, 'default drafting', { prompt: 'Warm.' })));
  for (const way of Object.keys(WAYS) as Way[]) {
    await measureRepeats(way);
    if (Number(values.turns) > 0) await measureChat(way);
  }
} finally {
  await Promise.all(Object.values(trios).map((trio) => trio.stop()));
}
print();

async function measureRepeats(way: Way): Promise<void> {
  const prompt = longText(Number(values.tokens), way); // the ways share caches: each has a prompt of its own
  for (let step = 1; step <= Number(values.repeats); step++) {
    for (const variant of variants) await note('same prompt', way, step, variant, { prompt });
  }
}

async function measureChat(way: Way): Promise<void> {
  const chats = Object.fromEntries(variants.map((variant) => [variant, [] as object[]])) as Record<Variant, object[]>;
  for (let turn = 1; turn <= Number(values.turns); turn++) {
    const content = turn === 1 ? longText(CHAT_TOKENS, `A chat, ${way}`) : PROMPTS[turn]!;
    for (const variant of variants) {
      const messages = [...chats[variant], { role: 'user', content }];
      const { text } = await note('chat', way, turn, variant, { messages });
      chats[variant] = [...messages, { role: 'assistant', content: text }];
    }
  }
}

async function note(scenario: string, way: Way, step: number, variant: Variant, body: object): Promise<Timed> {
  const timed = await ask(variant, way, body);
  results.push({ way, scenario, step, variant, timed });
  console.error(`${way}, ${scenario} ${step}, ${variant}: ${timed.ttftMs.toFixed(0)} ms`);
  return timed;
}

async function ask(variant: Variant, way: Way, body: object): Promise<Timed> {
  const request = { temperature: 0, max_new_tokens: ANSWER_TOKENS, ignore_eos: true, ...WAYS[way], ...body };
  const startMs = performance.now();
  let ttftMs: number | null = null;
  let text = '';
  let summary: Answer | null = null;
  for await (const { event: name, data } of streamEvents(trios[variant].coordinator.url, request)) {
    if (name === 'error')
      throw new Error(`the answer broke off: ${JSON.stringify(data)}\n${trios[variant].target.log}`);
    if (data === '[DONE]') break;
    ttftMs ??= performance.now() - startMs;
    const event = data as Answer;
    if (event.metrics) summary = event;
    else text += event.text;
  }
  const { usage, metrics } = summary!;
  return { ttftMs: ttftMs!, text, usage, acceptedTokens: metrics.speculative_decoding.num_accepted_tokens };
}

/** Questions one after the other, different ones for each title from the first token on. */
function longText(numTokens: number, title: string): string {
  let text = `${title}:`;
  for (let i = title.length; text.length < numTokens * TOKEN_CHARACTERS; i++) text += ` ${PROMPTS[i % PROMPTS.length]}`;
  return text;
}

function print(): void {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; ${values.target}, ${values.draft}`);
  let numDifferent = 0;
  for (const { way, scenario, step, variant, timed } of results) {
    if (variant !== 'reuse') continue;
    const find = (at: number, of: Variant) =>
      results.find((r) => r.way === way && r.scenario === scenario && r.step === at && r.variant === of)!.timed;
    const without = find(step, 'no reuse');
    if (timed.text !== without.text) numDifferent++;
    const { prompt_tokens: numPrompt, prompt_tokens_details: details } = timed.usage;
    const ratio = timed.ttftMs / find(1, 'reuse').ttftMs;
    console.log(
      `${way}, ${scenario} ${step}: ${details.cached_tokens} of ${numPrompt} tokens cached; ` +
        `first token after ${timed.ttftMs.toFixed(0)} ms, ${(100 * ratio).toFixed(1)} % of the first time ` +
        `(without reuse ${without.ttftMs.toFixed(0)} ms); ` +
        `${timed.acceptedTokens} guesses accepted (without reuse ${without.acceptedTokens})`,
    );
  }
  console.log(`${numDifferent} texts differ between reuse and no reuse`);
  const directory = join(import.meta.dirname, '..', 'results');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'prefix.json'), `${JSON.stringify(results, null, 1)}\n`);
  if (numDifferent > 0) process.exitCode = 1;
}
