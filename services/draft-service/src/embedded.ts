/**
 * The draft within the coordinator's process: the draft-service's engine and sampler, called without HTTP, frames or a
 * copy. Loaded only where DRAFT_ENDPOINT=embedded asks for it. What is on a thread of its own (DRAFT_ENGINE_THREAD=own)
 * may die: calls fail until it has been opened again, and answers go on without it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type EngineConfig,
  installEngineMetrics,
  type ModelHost,
  modelCard,
  startModel,
  throwFromEngine,
} from '@forerunner/model-service';
import {
  type ModelCard,
  PROTOCOL_VERSION,
  type ProposeReply,
  type ProposeRequest,
  ServiceError,
} from '@forerunner/protocol';
import {
  type Call,
  type Deadline,
  kindOf,
  type Logger,
  PeerError,
  resolveModelDir,
  within,
} from '@forerunner/service-kit';
import type { Registry } from 'prom-client';
import { checkProposal } from './check-proposal.ts';
import { ofTheEmbeddedDraft, readEmbeddedConfig } from './embedded-settings.ts';
import type { DraftMethods } from './engine.ts';
import { draftService, MIN_ROWS } from './service.ts';

export interface EmbeddedDraftOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly logger: Logger;
  /** Gets the metrics that a draft-service has. */
  readonly registry: Registry;
  /** Another engine module, for tests. */
  readonly engine?: URL;
}

interface OpenModel {
  readonly model: ModelHost<DraftMethods>;
  readonly card: ModelCard;
}

/** Before the first attempt to open it again; each further one waits twice as long. */
const REOPEN_AFTER_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export class EmbeddedDraft {
  readonly url = 'embedded';
  readonly #options: EmbeddedDraftOptions;
  readonly #config: EngineConfig;
  #open: OpenModel | Error = new Error('it was not opened yet');
  readonly #closing = new AbortController();

  /** Errors: ConfigError, when there is no model, or it cannot be loaded with these settings. */
  static async open(options: EmbeddedDraftOptions): Promise<EmbeddedDraft> {
    const draft = new EmbeddedDraft(options);
    try {
      draft.#open = await draft.#openModel();
    } catch (error) {
      throw ofTheEmbeddedDraft(error);
    }
    installEngineMetrics(options.registry, async () => draft.#model.model.call('takeStats', null));
    return draft;
  }

  private constructor(options: EmbeddedDraftOptions) {
    this.#options = options;
    this.#config = readEmbeddedConfig(options.env);
  }

  /** Errors: PeerError, as a draft-service that is asked over the network; the signal's reason when aborted. */
  propose(request: Omit<ProposeRequest, 'protocol_version'>, deadline: Deadline): Promise<ProposeReply> {
    return within(deadline, () => this.#callOf({ protocol_version: PROTOCOL_VERSION, ...request }), {
      where: 'the embedded draft',
      of: peerErrorOf,
    });
  }

  /** Frees a sequence. Errors: PeerError. */
  async free(sequenceId: string): Promise<void> {
    await this.#model.model.call('free', sequenceId);
  }

  /** The card as it is now, or why there is none. Never fails. */
  async card(): Promise<ModelCard | Error> {
    try {
      const { model, card } = this.#model;
      return { ...card, pass_costs: await model.call('passCosts', null) };
    } catch (error) {
      return error as Error;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    if (!(this.#open instanceof Error)) await this.#open.model.close();
  }

  /** Errors: PeerError unreachable while there is none. */
  get #model(): OpenModel {
    if (this.#open instanceof Error) throw peerErrorOf(this.#open);
    return this.#open;
  }

  #callOf(request: ProposeRequest): Call<ProposeReply> {
    const { model } = this.#model;
    const settle = Promise.withResolvers<ProposeReply>();
    const ended = new AbortController();
    const abort = (reason: Error) => {
      ended.abort(reason);
      settle.reject(reason);
    };
    try {
      checkProposal(request, model.info.hiddenStatesWidth);
      const sections = [request.token_ids, ...(request.hidden_states ? [request.hidden_states] : [])];
      const transfer = sections.map((section) => section.buffer as ArrayBuffer);
      const replyOptions = { form: 'frame', receivedMs: performance.timeOrigin + performance.now() } as const;
      model
        .call('reply', { request, replyOptions }, { signal: ended.signal, transfer })
        .catch(throwFromEngine)
        .then(settle.resolve, settle.reject);
    } catch (error) {
      settle.reject(error);
    }
    return { reply: settle.promise, abort };
  }

  async #openModel(): Promise<OpenModel> {
    const { logger, engine = draftService.engine } = this.#options;
    const config = this.#config;
    const modelDir = resolveModelDir(config);
    const onDeath = (reason: Error) => void this.#reopen(reason);
    const model = await startModel<DraftMethods>({
      engine,
      config,
      modelDir,
      minRows: MIN_ROWS,
      logger,
      onDeath,
    });
    return { model, card: modelCard(draftService.name, modelDir, config, model.info) };
  }

  /** Its thread died: what it held in caches is lost, and answers cache it again as after a restart of the service. */
  async #reopen(reason: Error): Promise<void> {
    const { logger } = this.#options;
    logger.error({ err: reason }, "the embedded draft's thread died: opening it again");
    this.#open = reason;
    const { signal } = this.#closing;
    for (let pauseMs = REOPEN_AFTER_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        const opened = await this.#openModel();
        this.#open = opened;
        if (signal.aborted) await opened.model.close();
        return;
      } catch (error) {
        logger.error({ err: error }, 'the embedded draft cannot be opened');
      }
    }
  }
}

function peerErrorOf(cause: unknown): PeerError {
  if (cause instanceof PeerError) return cause;
  const where = 'the embedded draft';
  if (cause instanceof ServiceError) {
    const { status, code, message, details } = cause;
    return new PeerError(kindOf(status, code), `${where}: ${message}`, code, { ...details }, { cause });
  }
  return new PeerError('unreachable', `${where}: ${(cause as Error).message}`, undefined, {}, { cause });
}
