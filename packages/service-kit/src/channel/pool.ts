/**
 * The channels to one peer. A channel carries one call at a time; whoever wants one while all are taken opens another, so
 * there are as many as there were calls at the same time.
 */
import type { Dispatcher } from 'undici';
import { Channel } from './channel.ts';
import { Handshake } from './handshake.ts';

/** How long a peer that did not upgrade is not asked again: an older service, or a proxy that speaks HTTP only. */
const HTTP_ONLY_MS = 300_000;
/** The same for one that gave channels before and now says nothing: it stalls, which passes. */
const STALLED_MS = 5_000;

export interface ChannelPoolOptions {
  /** Sent with the request for an upgrade. */
  readonly headers: Readonly<Record<string, string>>;
  /** Channels that are kept while nobody uses them. */
  readonly maxIdle: number;
}

export class ChannelPool {
  readonly #dispatcher: Dispatcher;
  readonly #options: ChannelPoolOptions;
  readonly #all = new Set<Channel>();
  readonly #idle: Channel[] = [];
  /** The peer gave one when it was last asked. */
  #hasChannels = false;
  #hadChannels = false;
  #asking: Promise<Channel | null> | null = null;
  #httpOnlyUntilMs = 0;

  constructor(dispatcher: Dispatcher, options: ChannelPoolOptions) {
    this.#dispatcher = dispatcher;
    this.#options = options;
  }

  /** To be given back. null: this call goes by HTTP. Errors: undici's, when there is no connection. */
  async take(): Promise<Channel | null> {
    for (let channel = this.#idle.pop(); channel; channel = this.#idle.pop()) if (channel.isUsable) return channel;
    if (performance.now() < this.#httpOnlyUntilMs) return null;
    if (this.#hasChannels) return this.#open();
    // One call asks for all: where no answer comes, the questions would take up every connection.
    if (this.#asking) return (await this.#asking) && this.take();
    try {
      this.#asking = this.#open();
      return await this.#asking;
    } finally {
      this.#asking = null;
    }
  }

  async #open(): Promise<Channel | null> {
    const answer = await new Handshake(this.#dispatcher, this.#options.headers).answer;
    this.#hasChannels = typeof answer !== 'string';
    if (answer === 'http' || answer === 'silent') {
      const isStalled = answer === 'silent' && this.#hadChannels;
      this.#httpOnlyUntilMs = performance.now() + (isStalled ? STALLED_MS : HTTP_ONLY_MS);
    }
    if (typeof answer === 'string') return null;
    this.#hadChannels = true;
    const channel = new Channel(answer, () => this.#forget(channel));
    this.#all.add(channel);
    return channel;
  }

  give(channel: Channel): void {
    if (channel.isUsable && this.#idle.length < this.#options.maxIdle) this.#idle.push(channel);
    else channel.destroy(new Error('no longer wanted'));
  }

  #forget(channel: Channel): void {
    this.#all.delete(channel);
    const at = this.#idle.indexOf(channel);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  destroy(): void {
    for (const channel of this.#all) channel.destroy(new Error('the client was closed'));
  }
}
