/**
 * `pnpm bench:rounds [draft] [k] [temperature]`: the anatomy of a round: both models, everything else, bytes, and
 * the event loops' delay. One long answer at a time, so that prefills hardly count.
 */
import { generate, startTrio } from '@forerunner/testkit';
import { anatomyOf, readCounters } from './anatomy.ts';
import { PROMPTS } from './prompts.ts';

const NUM_PROMPTS = 6;
const [draft = '135m-feature-draft', k = '1', temperature = '0'] = process.argv.slice(2);
const trio = await startTrio({
  target: '135m',
  draft,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { MAX_DRAFT_TOKENS: '16', DRAFT_TIMEOUT_MS: '10000' },
});
try {
  const ask = (prompt: string, maxNewTokens: number) =>
    generate(trio.coordinator.url, {
      prompt,
      max_new_tokens: maxNewTokens,
      temperature: Number(temperature),
      draft_k: Number(k),
      prompt_lookup: false, // every round is to ask the draft
      seed: 1,
      ignore_eos: true,
    });
  await ask('Warm up', 64);
  const before = await readCounters(trio);
  for (const prompt of PROMPTS.slice(0, NUM_PROMPTS)) await ask(prompt, 128);
  const anatomy = await anatomyOf(trio, before, await readCounters(trio));
  const { lagP99Ms, ...means } = anatomy;
  console.log(`${draft}, k = ${k}, temperature ${temperature}; per round:`);
  console.table(Object.fromEntries(Object.entries(means).map(([name, value]) => [name, Number(value.toFixed(2))])));
  console.log(
    `event loop delay p99, ms: ${lagP99Ms.map((ms) => ms.toFixed(1)).join(' / ')} (coordinator / target / draft)`,
  );
} finally {
  await trio.stop();
}
