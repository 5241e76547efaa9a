/** Answers of a running pair to prompts: how far guesses get, and how many tokens per second there are. */
import { type GenerationMetrics, generateReplySchema } from '@forerunner/protocol';
import { ConfigError } from '@forerunner/service-kit/config-error';

export interface Asking {
  readonly url: string;
  readonly prompts: readonly string[];
  /** Prompts are messages of a user; else raw text to go on with. */
  readonly asChat: boolean;
  readonly maxNewTokens: number;
  readonly temperature: number;
  /** Hears after every answer. */
  readonly onAnswer: () => void;
}

/** Chances by position of all proposals of `draftK` guesses. */
export interface MeasuredAcceptance {
  /** That 1, 2, … guesses are kept; not increasing, and no longer than there were proposals of. */
  readonly kept: readonly number[];
  readonly numProposals: number;
  /** Mean length of a text at half of its answer. */
  readonly numCachedTokens: number;
}

/** Every round gets as many guesses. Errors: ConfigError, as the coordinator words it. */
export async function measureAcceptance(asking: Asking, draftK: number): Promise<MeasuredAcceptance> {
  const drafted = new Array<number>(draftK).fill(0);
  const accepted = new Array<number>(draftK).fill(0);
  let numTokens = 0;
  for (const prompt of asking.prompts) {
    const { metrics, usage } = await ask(asking, prompt, { draft_k: draftK, min_confidence: 0 });
    const { num_draft_tokens_per_pos: made, num_accepted_tokens_per_pos: kept } = metrics.speculative_decoding;
    for (let i = 0; i < draftK; i++) {
      drafted[i]! += made[i] ?? 0;
      accepted[i]! += kept[i] ?? 0;
    }
    numTokens += usage.prompt_tokens + usage.completion_tokens / 2;
  }
  const kept: number[] = [];
  for (const [i, made] of drafted.entries()) {
    if (made === 0) break;
    kept.push(Math.min(kept.at(-1) ?? 1, accepted[i]! / made));
  }
  return { kept, numProposals: drafted[0]!, numCachedTokens: numTokens / asking.prompts.length };
}

/** Tokens per second after the first, of all prompts together; null: no answer had a second token. */
export interface MeasuredSpeeds {
  readonly alone: number | null;
  readonly fixed: number | null;
  readonly auto: number | null;
}

/** The target alone, `draftK` guesses a round, and as many as the coordinator thinks fit: prompt by prompt in turn. */
export async function measureSpeeds(asking: Asking, draftK: number): Promise<MeasuredSpeeds> {
  const ways = {
    alone: { speculative: false },
    fixed: { draft_k: draftK, min_confidence: 0 },
    auto: { draft_k: 'auto' },
  };
  const totals = { alone: new Speed(), fixed: new Speed(), auto: new Speed() };
  for (const prompt of asking.prompts) {
    for (const way of ['alone', 'fixed', 'auto'] as const) {
      const { metrics, usage } = await ask(asking, prompt, ways[way]);
      totals[way].add(usage.completion_tokens - 1, metrics);
    }
  }
  return { alone: totals.alone.perSecond, fixed: totals.fixed.perSecond, auto: totals.auto.perSecond };
}

class Speed {
  #numTokens = 0;
  #seconds = 0;

  add(numTokens: number, { decode_tokens_per_second: rate }: GenerationMetrics): void {
    if (rate === null) return;
    this.#numTokens += numTokens;
    this.#seconds += numTokens / rate;
  }

  get perSecond(): number | null {
    return this.#numTokens > 0 ? this.#numTokens / this.#seconds : null;
  }
}

async function ask({ url, asChat, maxNewTokens, temperature, onAnswer }: Asking, prompt: string, how: object) {
  const question = asChat ? { messages: [{ role: 'user', content: prompt }] } : { prompt };
  const body = { ...question, ...how, max_new_tokens: maxNewTokens, temperature, seed: 1, prompt_lookup: false };
  const reply = await fetch(`${url}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!reply.ok) throw new ConfigError(`the pair does not answer (${reply.status}): ${await reply.text()}`);
  onAnswer();
  return generateReplySchema.parse(await reply.json());
}
