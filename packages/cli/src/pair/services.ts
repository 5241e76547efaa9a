/** The services of pairs that are measured: one target, and one draft after the other. Processes, as they would serve. */
import { type ModelCard, modelCardSchema } from '@forerunner/protocol';
import { ConfigError } from '@forerunner/service-kit/config-error';
import { freePort } from '@forerunner/service-kit/free-port';
import type { NamedModel } from '@forerunner/service-kit/model-names';
import { ServiceProcess } from '@forerunner/service-kit/service-process';
import { findMismatch } from '@forerunner/speculative-coordinator/fit';
import { type Overheads, overheadsSchema } from '@forerunner/speculative-coordinator/pair-costs';
import { z } from 'zod';

/** Nobody else is to be let in, and nothing to be limited. */
const OPEN = {
  LOG_LEVEL: 'warn',
  ...{ SERVICE_TOKEN: '', API_KEYS_FILE: '', RATE_LIMIT_PER_MINUTE: '', TLS_CERT_FILE: '', TLS_KEY_FILE: '' },
};

const pairSchema = z.object({ target: modelCardSchema, draft: modelCardSchema, overheads: overheadsSchema });

export interface RunningPair {
  /** The coordinator's. */
  readonly url: string;
  /** Cards and overheads as they are now. */
  facts(): Promise<{ target: ModelCard; draft: ModelCard; overheads: Overheads }>;
}

export class PairServices {
  readonly #target: NamedModel;
  readonly #maxDraftTokens: number;
  readonly #running: ServiceProcess[] = [];
  #targetUrl = '';

  private constructor(target: NamedModel, maxDraftTokens: number) {
    this.#target = target;
    this.#maxDraftTokens = maxDraftTokens;
  }

  /** Starts the target. Whoever opens it closes it. Errors: ConfigError, with what the service wrote. */
  static async start(target: NamedModel, maxDraftTokens: number): Promise<PairServices> {
    const services = new PairServices(target, maxDraftTokens);
    try {
      services.#targetUrl = (await services.#start('target-service', { MODEL_DIR: target.dir })).url;
      return services;
    } catch (error) {
      await services.close();
      throw error;
    }
  }

  /** Runs a draft beside the target. Errors: ConfigError, when it does not start or does not fit. */
  async withDraft<T>(draft: NamedModel, use: (pair: RunningPair) => Promise<T>): Promise<T> {
    const own: ServiceProcess[] = [];
    try {
      const service = await this.#start('draft-service', { MODEL_DIR: draft.dir }, own);
      const cards = await Promise.all([service.url, this.#targetUrl].map(cardOf));
      const mismatch = findMismatch(cards[0]!, cards[1]!);
      if (mismatch !== null) throw new ConfigError(mismatch);
      const coordinator = await this.#start(
        'speculative-coordinator',
        {
          ...{ MODEL_DIR: this.#target.dir, TARGET_ENDPOINT: this.#targetUrl, DRAFT_ENDPOINT: service.url },
          MAX_DRAFT_TOKENS: String(this.#maxDraftTokens),
        },
        own,
      );
      const facts = async () => pairSchema.parse(await getJson(`${coordinator.url}/v1/model`));
      return await use({ url: coordinator.url, facts });
    } finally {
      for (const service of own.toReversed()) await this.#end(service);
    }
  }

  async close(): Promise<void> {
    for (const service of this.#running.toReversed()) await this.#end(service);
  }

  async #start(name: ServiceProcess['name'], env: Record<string, string>, own: ServiceProcess[] = []) {
    const service = new ServiceProcess(name, await freePort(), { ...OPEN, ...env });
    this.#running.push(service);
    own.push(service);
    try {
      await service.start();
    } catch (cause) {
      throw new ConfigError(`${env.MODEL_DIR} cannot be run: ${(cause as Error).message}`, { cause });
    }
    return service;
  }

  async #end(service: ServiceProcess): Promise<void> {
    await service.end();
    const at = this.#running.indexOf(service);
    if (at >= 0) this.#running.splice(at, 1);
  }
}

const cardOf = async (url: string): Promise<ModelCard> => modelCardSchema.parse(await getJson(`${url}/v1/model`));

async function getJson(url: string): Promise<unknown> {
  const reply = await fetch(url);
  if (!reply.ok) throw new ConfigError(`${url} answers ${reply.status}: ${await reply.text()}`);
  return reply.json();
}
