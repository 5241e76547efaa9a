/**
 * `pnpm prove:greedy [target] [draft] [tokens] [k,k,...]`: greedy texts with a draft against the target alone, token by
 * token, on every prompt. A difference is shown with the margin between the two tokens in the target's own logits.
 * Exits 1 when a difference is not a near-tie.
 */
import { type Answer, generate, startTrio } from '@forerunner/testkit';
import { PROMPTS } from './prompts.ts';

/** Largest difference of logits that counts as a tie of the arithmetic. */
const NEAR_TIE = 1e-2;

const [target = '135m', draft = '135m-feature-draft', tokens = '64', ks = '1,3'] = process.argv.slice(2);
const maxNewTokens = Number(tokens);
const isTiny = target.startsWith('tiny');
const trio = await startTrio({
  target,
  draft,
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { MAX_DRAFT_TOKENS: '16', DRAFT_TIMEOUT_MS: '10000' },
});
const url = trio.coordinator.url;

let numTexts = 0;
let numDifferent = 0;
let numUnexplained = 0;
let accepted = 0;
let drafted = 0;
try {
  for (const prompt of PROMPTS) {
    const body = {
      ...(isTiny ? { prompt } : { messages: [{ role: 'user', content: prompt }] }),
      temperature: 0,
      max_new_tokens: maxNewTokens,
    };
    const alone = await generate(url, { ...body, speculative: false });
    for (const k of ks.split(',').map(Number)) {
      const answer = await generate(url, { ...body, draft_k: k });
      numTexts++;
      accepted += answer.metrics.speculative_decoding.num_accepted_tokens;
      drafted += answer.metrics.speculative_decoding.num_draft_tokens;
      if (answer.token_ids.join() === alone.token_ids.join()) continue;
      numDifferent++;
      const margin = await marginAtDifference(body, alone, answer);
      if (!(margin <= NEAR_TIE)) numUnexplained++;
      console.log(`k = ${k}, ${JSON.stringify(prompt)}: differs, margin ${margin.toExponential(2)}`);
    }
  }
} finally {
  await trio.stop();
}
console.log(
  `${target} with ${draft}: ${numDifferent} of ${numTexts} greedy texts differ from the target alone ` +
    `(${PROMPTS.length} prompts × ${maxNewTokens} tokens, k = ${ks}); ${numUnexplained} are not near-ties; ` +
    `acceptance ${(accepted / drafted).toFixed(3)} of ${drafted} drafts`,
);
process.exit(numUnexplained === 0 ? 0 : 1);

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
