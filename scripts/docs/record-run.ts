/**
 * Records one real answer of what `npm start` serves, with up to four guesses of the draft a round, round by round, for the
 * pictures in docs/algorithm.md:
 *   node scripts/docs/record-run.ts http://127.0.0.1:8080 > docs/images/recorded-run.json
 */
import { PICTURED_PROMPT } from './pictured-prompt.ts';
import type { RecordedRound, RecordedRun } from './pictures.ts';

const url = process.argv[2] ?? 'http://127.0.0.1:8080';
const prompt = PICTURED_PROMPT;
const drafting = { draft_k: 4, min_confidence: 0.7, prompt_lookup: false };
const body = { messages: [{ role: 'user', content: prompt }], temperature: 0, max_new_tokens: 96, ...drafting };

const post = (change: object) =>
  fetch(`${url}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, ...change }),
  });

type Pair = Record<'target' | 'draft', { model_id: string }>;
const { target, draft } = (await (await fetch(`${url}/v1/model`)).json()) as Pair;
const rounds: RecordedRound[] = [];
let summary: Pick<RecordedRun, 'metrics'> | null = null;
for (const event of (await (await post({ stream: true, return_token_ids: true })).text()).split('\n\n')) {
  if (!event.startsWith('data: {')) continue;
  const data = JSON.parse(event.slice(6));
  if (data.usage) summary = data;
  else {
    const { token_texts, provenance, num_draft_tokens, num_accepted_tokens } = data;
    rounds.push({
      texts: token_texts,
      provenance,
      numDraftTokens: num_draft_tokens,
      numAcceptedTokens: num_accepted_tokens,
    });
  }
}
const run: RecordedRun = {
  prompt,
  target: target.model_id,
  draft: draft.model_id,
  draftK: Math.max(...rounds.map(({ numDraftTokens }) => numDraftTokens)),
  rounds,
  metrics: summary!.metrics,
};
console.log(JSON.stringify(run, null, 1));
