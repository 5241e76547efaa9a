/**
 * Clients that ask without a pause, and know what each answer must be: greedy ones of the target alone. What happens to
 * the services meanwhile is for others to arrange.
 */
import { generate, postGenerate } from './client.ts';

export interface SteadyLoadOptions {
  readonly numClients: number;
  readonly prompts: readonly string[];
  /** What every request has beside its prompt. */
  readonly body: object;
  /** An answer that takes longer hangs. */
  readonly patienceMs: number;
}

export interface LoadReport {
  readonly numAnswers: number;
  /** Answers that are not what the target says. */
  readonly numWrong: number;
  /** Statuses, or what else came in place of an answer. */
  readonly failures: readonly string[];
  readonly numAcceptedTokens: number;
  readonly longestMs: number;
}

export class SteadyLoad {
  readonly #url: string;
  readonly #options: SteadyLoadOptions;
  readonly #expected: readonly string[];
  readonly #clients: Promise<void>[];
  #isOver = false;
  #numAnswers = 0;
  #numWrong = 0;
  readonly #failures: string[] = [];
  #numAcceptedTokens = 0;
  #longestMs = 0;

  /** Asks the target alone for what is right, then begins. */
  static async start(url: string, options: SteadyLoadOptions): Promise<SteadyLoad> {
    const { prompts, body } = options;
    const expected: string[] = [];
    for (const prompt of prompts) {
      expected.push(textOf(await generate(url, { ...body, prompt, temperature: 0, speculative: false })));
    }
    return new SteadyLoad(url, options, expected);
  }

  private constructor(url: string, options: SteadyLoadOptions, expected: readonly string[]) {
    this.#url = url;
    this.#options = options;
    this.#expected = expected;
    this.#clients = Array.from({ length: options.numClients }, (_, client) => this.#run(client));
  }

  get numAnswers(): number {
    return this.#numAnswers;
  }

  /** Lets every client end its last answer. */
  async stop(): Promise<LoadReport> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return {
      numAnswers: this.#numAnswers,
      numWrong: this.#numWrong,
      failures: this.#failures,
      numAcceptedTokens: this.#numAcceptedTokens,
      longestMs: this.#longestMs,
    };
  }

  async #run(client: number): Promise<void> {
    const { numClients, prompts } = this.#options;
    for (let i = client; !this.#isOver; i += numClients + 1) await this.#ask(i % prompts.length);
  }

  async #ask(index: number): Promise<void> {
    const { prompts, body, patienceMs } = this.#options;
    const startMs = performance.now();
    try {
      const request = { ...body, prompt: prompts[index], temperature: 0, return_token_ids: true };
      const reply = await postGenerate(this.#url, request, AbortSignal.timeout(patienceMs));
      if (reply.status !== 200) {
        this.#failures.push(`${reply.status}: ${await reply.text()}`);
        return;
      }
      const answer = (await reply.json()) as Awaited<ReturnType<typeof generate>>;
      this.#numAnswers++;
      this.#numAcceptedTokens += answer.metrics.speculative_decoding.num_accepted_tokens;
      if (textOf(answer) !== this.#expected[index]) this.#numWrong++;
    } catch (error) {
      this.#failures.push((error as Error).message);
    } finally {
      this.#longestMs = Math.max(this.#longestMs, performance.now() - startMs);
    }
  }
}

const textOf = ({ token_ids }: { readonly token_ids: readonly number[] }): string => token_ids.join(' ');
