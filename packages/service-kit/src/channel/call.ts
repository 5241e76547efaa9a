/** One call to a peer: over a channel, or by HTTP where the peer has none. */
import type { Call } from '../deadline.ts';
import type { WholeReply } from '../exchange.ts';
import type { Channel } from './channel.ts';
import type { ChannelPool } from './pool.ts';

/** The two ways to make it. */
export interface Ways {
  readonly overChannel: (channel: Channel) => Promise<WholeReply>;
  readonly byHttp: () => Call<WholeReply>;
}

export class ChannelCall implements Call<WholeReply> {
  readonly reply: Promise<WholeReply>;
  readonly #settle = Promise.withResolvers<WholeReply>();
  #underWay: { abort(reason: Error): void } | undefined;
  #aborted: { readonly reason: Error } | undefined;

  constructor(pool: ChannelPool, ways: Ways) {
    this.reply = this.#settle.promise;
    this.#run(pool, ways).then(this.#settle.resolve, this.#settle.reject);
  }

  /** Rejects now. A channel in use is given up, one that is being opened is for the next call. */
  abort(reason: Error): void {
    this.#aborted = { reason };
    this.#settle.reject(reason);
    this.#underWay?.abort(reason);
  }

  async #run(pool: ChannelPool, { overChannel, byHttp }: Ways): Promise<WholeReply> {
    const channel = await pool.take();
    if (this.#aborted) {
      if (channel) pool.give(channel);
      throw this.#aborted.reason;
    }
    if (channel === null) {
      const call = byHttp();
      this.#underWay = call;
      return call.reply;
    }
    this.#underWay = { abort: (reason) => channel.destroy(reason) };
    const reply = await overChannel(channel);
    this.#underWay = undefined; // from here on the channel is somebody else's
    pool.give(channel);
    return reply;
  }
}
