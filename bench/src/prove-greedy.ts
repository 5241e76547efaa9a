/**
 * `pnpm prove:greedy [target] [draft] [tokens] [k,k,...] [--faults]`: greedy texts with a draft against the target alone,
 * token by token, on every prompt. A difference is shown with the margin between the two tokens in the target's own
 * logits. Exits 1 when there is one that the target's numeric regime does not allow.
 *
 * With --faults eight answers run at once, the draft has room for five texts of them, the coordinator keeps a dozen
 * hidden states of each, and every second time the draft is killed in the middle and started again: so its texts are evicted
 * and lost, and begin anew behind the hidden states that are lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Answer, generate, scrape, startTrio, sumOf } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';

/** Largest difference of logits that counts as a tie of the arithmetic, where that is not bit-exact. */
const NEAR_TIE = 1e-2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { faults: { type: 'boolean', default: false } },
});
const [target = '135m', draft = '135m-feature-draft', tokens = '64', ks = '1,3'] = positionals;
const maxNewTokens = Number(tokens);
const numAtOnce = values.faults ? 8 : 1;
const isTiny = target.startsWith('tiny');
const trio = await startTrio({
  target,
  draft,
  env: { LOG_LEVEL: 'warn' },
  draftEnv: { ...(values.faults && { KV_CACHE_MB: '1' }) },
  coordinatorEnv: {
    MAX_DRAFT_TOKENS: '16',
    DRAFT_TIMEOUT_MS: '10000',
    ...(values.faults && { HIDDEN_STATE_WINDOW_KIB: '16' }),
  },
});
const url = trio.coordinator.url;

let numTexts = 0;
let numDifferent = 0;
let numWrong = 0;
let accepted = 0;
let drafted = 0;
let numDegradedRounds = 0;
let numKills = 0;
let numEvictions = 0;
try {
  const card = (await (await fetch(`${trio.target.url}/v1/model`)).json()) as { numeric_regime: string };
  for (let at = 0; at < PROMPTS.length; at += numAtOnce) {
    const prompts = PROMPTS.slice(at, at + numAtOnce);
    const bodies = prompts.map((prompt) => ({
      ...(isTiny ? { prompt } : { messages: [{ role: 'user', content: prompt }] }),
      temperature: 0,
      max_new_tokens: maxNewTokens,
    }));
    const alone = await Promise.all(bodies.map((body) => generate(url, { ...body, speculative: false })));
    for (const [turn, k] of ks.split(',').map(Number).entries()) {
      const answering = Promise.all(bodies.map((body) => generate(url, { ...body, draft_k: k })));
      const isKilled = (at / numAtOnce + turn) % 2 === 0; // so that each k is in both
      if (values.faults && isKilled) await killInTheMiddle(answering);
      for (const [i, answer] of (await answering).entries()) {
        await compare(`k = ${k}, ${JSON.stringify(prompts[i])}`, bodies[i]!, alone[i]!, answer, card.numeric_regime);
      }
    }
  }
  if (values.faults) await countEvictions();
} finally {
  await trio.stop();
}
console.log(
  `${target} with ${draft}: ${numDifferent} of ${numTexts} greedy texts differ from the target alone ` +
    `(${PROMPTS.length} prompts × ${maxNewTokens} tokens, k = ${ks}); ` +
    `acceptance ${(accepted / drafted).toFixed(3)} of ${drafted} drafts`,
);
if (values.faults) {
  const faults = `draft killed ${numKills} times, ${numEvictions} of its texts evicted`;
  console.log(`${faults}, ${numDegradedRounds} rounds without it`);
}
process.exit(numWrong === 0 ? 0 : 1);

/** Kills the draft while the answers run, and starts it again at once, so that they see it come back. */
async function killInTheMiddle(answering: Promise<unknown>): Promise<void> {
  await Promise.race([sleep(400), answering]);
  await countEvictions();
  await trio.draft.end('SIGKILL');
  numKills++;
  await trio.draft.start();
}

/** Since the draft started: to be added up before it is killed. */
async function countEvictions(): Promise<void> {
  numEvictions += sumOf(await scrape(trio.draft.url), 'forerunner_kv_evictions_total');
}

async function compare(
  name: string,
  body: object,
  alone: Answer,
  answer: Answer,
  numericRegime: string,
): Promise<void> {
  const { speculative_decoding: counts } = answer.metrics;
  numTexts++;
  accepted += counts.num_accepted_tokens;
  drafted += counts.num_draft_tokens;
  numDegradedRounds += counts.num_degraded_rounds;
  if (answer.token_ids.join() === alone.token_ids.join()) return;
  numDifferent++;
  const margin = await marginAtDifference(body, alone, answer);
  if (numericRegime === 'bit-exact' || !(margin <= NEAR_TIE)) numWrong++;
  console.log(`${name}: differs, margin ${margin.toExponential(2)}`);
}

/** Logit of the token that the target alone chose, less that of the other, where the texts part. */
async function marginAtDifference(body: object, alone: Answer, other: Answer): Promise<number> {
  const at = alone.token_ids.findIndex((id, i) => id !== other.token_ids[i]);
  // The answer up to there is generated again, and the next token's log probabilities tell the two apart.
  const reply = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: target,
      ...body,
      max_tokens: at + 1,
      max_new_tokens: undefined,
      logprobs: true,
      top_logprobs: 20,
    }),
  });
  const { choices } = (await reply.json()) as {
    choices: { logprobs: { content: { top_logprobs: { logprob: number }[] }[] } }[];
  };
  const top = choices[0]?.logprobs.content[at]?.top_logprobs;
  return top ? top[0]!.logprob - top[1]!.logprob : Number.NaN;
}
