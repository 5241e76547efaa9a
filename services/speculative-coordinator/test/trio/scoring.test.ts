/** Prompts that are scored and answers of a least length, over the real services on the tiny pair. */
import { startTrio, type Trio } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let trio: Trio;
let url: string;
beforeAll(async () => {
  trio = await startTrio({ target: 'tiny', draft: 'tiny-draft', coordinatorEnv: { DRAFT_TIMEOUT_MS: '2000' } });
  url = trio.coordinator.url;
});
afterAll(() => trio?.stop());

describe('POST /v1/completions', () => {
  const complete = async (body: object) => {
    const reply = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ temperature: 0, ...body }),
    });
    expect(reply.status).toBe(200);
    return (await reply.json()) as { choices: CompletionChoice[]; usage: object };
  };
  interface CompletionChoice {
    text: string;
    finish_reason: string;
    forerunner: { tokens?: { id: number }[] };
    logprobs: { tokens: string[]; token_logprobs: (number | null)[]; top_logprobs: (object | null)[] };
  }

  it('scores a prompt with the same log probabilities that its tokens had when they were generated', async () => {
    const head = [40, 41, 42, 43, 44, 45, 46, 47];
    const request = { prompt: head, max_tokens: 30, ignore_eos: true, logprobs: 3 };
    const told = (await complete({ ...request, forerunner: { return_provenance: true } })).choices[0]!;
    const answer = told.forerunner.tokens!.map(({ id }) => id);
    expect(answer).toHaveLength(30);
    for (const repetition of [1, 2]) {
      // The second time all of it is in a cached prefix, whose rows nobody has.
      const scored = await complete({ prompt: [...head, ...answer], echo: true, logprobs: 3, max_tokens: 0 });
      const { token_logprobs, top_logprobs, tokens } = scored.choices[0]!.logprobs;
      expect(tokens.length, `repetition ${repetition}`).toBe(38);
      expect(token_logprobs[0]).toBe(null);
      expect(token_logprobs.slice(8)).toEqual(told.logprobs.token_logprobs);
      expect(top_logprobs.slice(8)).toEqual(told.logprobs.top_logprobs);
      expect(scored.usage).toMatchObject({ prompt_tokens_details: { cached_tokens: 0 } });
    }
  });

  it('answers after an echo as without one', async () => {
    const body = { prompt: 'Once upon a time', max_tokens: 24, logprobs: 2, ignore_eos: true };
    const [plain, echoed] = [(await complete(body)).choices[0]!, (await complete({ ...body, echo: true })).choices[0]!];
    expect(echoed.text).toBe(`Once upon a time${plain.text}`);
    expect(echoed.logprobs.token_logprobs.slice(-24)).toEqual(plain.logprobs.token_logprobs);
  });

  it.each([0, 1])(
    'has at least min_tokens, the same with and without a draft, at temperature %f',
    async (temperature) => {
      const body = { prompt: 'A', max_tokens: 40, temperature, seed: 3, logit_bias: { 2: 30 } };
      const [short, long, alone] = [
        await complete(body),
        await complete({ ...body, min_tokens: 17 }),
        await complete({ ...body, min_tokens: 17, forerunner: { speculative: false } }),
      ];
      expect(short.choices[0]!.text).toBe('');
      for (const { choices, usage } of [long, alone]) {
        expect(choices[0]!.finish_reason).toBe('stop');
        expect(usage).toMatchObject({ completion_tokens: 18 }); // the bias ends it as soon as it may end
      }
      if (temperature === 0) expect(long.choices[0]!.text).toBe(alone.choices[0]!.text);
    },
  );
});
