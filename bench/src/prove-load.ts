/**
 * `node bench/src/prove-load.ts [--texts 200] [--tokens 24]`: greedy texts of the target alone, one at a time and without
 * a cached prefix, against the same requests 8 and 32 at once, with and without a draft, with prefixes reused, with too
 * little memory for all of them, and with the draft killed again and again. Exits 1 when a text differs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { generate, scrape, startTrio, sumOf, type Trio } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';

const { values } = parseArgs({
  options: { texts: { type: 'string', default: '200' }, tokens: { type: 'string', default: '24' } },
});
const KILL_EVERY_MS = 4000;

const bodies = Array.from({ length: Number(values.texts) }, (_, i) => ({
  messages: [{ role: 'user', content: `${PROMPTS[i % PROMPTS.length]} (${Math.floor(i / PROMPTS.length)})` }],
  temperature: 0,
  max_new_tokens: Number(values.tokens),
  ignore_eos: true,
}));
const start = (target: Record<string, string> = {}, draft: Record<string, string> = {}): Promise<Trio> =>
  startTrio({
    target: '135m',
    draft: '135m-feature-draft',
    env: { LOG_LEVEL: 'warn' },
    targetEnv: { BATCH_SIZE: '8', ...target },
    draftEnv: draft,
    coordinatorEnv: { MAX_CONCURRENT_REQUESTS: '32', MAX_DRAFT_TOKENS: '16' },
  });

let numDifferent = 0;
const table: Record<string, object> = {};

const reference = await start({ PREFIX_CACHE: 'false' });
const expected: string[] = [];
for (const body of bodies) expected.push(await textOf(reference, { ...body, speculative: false }));
await reference.stop();

const trio = await start();
await compare('8 at once, target alone', trio, 8, { speculative: false });
await compare('8 at once, auto, prefixes reused', trio, 8, {});
await compare('8 at once, draft_k 4, prefixes reused', trio, 8, { draft_k: 4 });
await compare('32 at once, target alone, prefixes reused', trio, 32, { speculative: false });
await compare('32 at once, auto, prefixes reused', trio, 32, {});
await trio.stop();

// Less room than 32 texts want with the target, and for a few with the draft.
const crowded = await start({ KV_CACHE_MB: '176' }, { KV_CACHE_MB: '1' });
const stopKilling = killAgainAndAgain(crowded);
await compare('32 at once, draft_k 3, evictions, draft killed', crowded, 32, { draft_k: 3 });
const numKills = await stopKilling();
const evictions = sumOf(await scrape(crowded.target.url), 'forerunner_kv_evictions_total');
await crowded.stop();

console.table(table);
console.log(`draft killed ${numKills} times; ${evictions} evictions with the target; ${numDifferent} texts differ`);
process.exit(numDifferent === 0 && numKills > 0 && evictions > 0 ? 0 : 1);

async function compare(name: string, on: Trio, numAtOnce: number, more: object): Promise<void> {
  const waiting = [...bodies.keys()];
  let [numWrong, numCached, numAccepted, numDegraded] = [0, 0, 0, 0];
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: numAtOnce }, async () => {
      for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
        const answer = await generate(on.coordinator.url, { ...bodies[i], ...more });
        if (answer.token_ids.join() !== expected[i]) numWrong++;
        const { speculative_decoding: counts } = answer.metrics;
        numCached += answer.usage.prompt_tokens_details.cached_tokens;
        numAccepted += counts.num_accepted_tokens;
        numDegraded += counts.num_degraded_rounds;
      }
    }),
  );
  const seconds = (performance.now() - startMs) / 1000;
  numDifferent += numWrong;
  table[name] = {
    'texts that differ': `${numWrong} of ${bodies.length}`,
    'cached tokens': numCached,
    'accepted guesses': numAccepted,
    'rounds that missed the draft': numDegraded,
    'tokens/s': ((bodies.length * Number(values.tokens)) / seconds).toFixed(0),
  };
  console.error(`${name}: ${numWrong} of ${bodies.length} differ`);
}

async function textOf(on: Trio, body: object): Promise<string> {
  return (await generate(on.coordinator.url, body)).token_ids.join();
}

/** Until the returned function is called, which tells how often. */
function killAgainAndAgain({ draft }: Trio): () => Promise<number> {
  let [isOver, numKilled] = [false, 0];
  const killing = (async () => {
    for (;;) {
      await sleep(KILL_EVERY_MS);
      if (isOver) return;
      await draft.end('SIGKILL');
      await draft.start();
      numKilled++;
    }
  })();
  return async () => {
    isOver = true;
    await killing;
    return numKilled;
  };
}
