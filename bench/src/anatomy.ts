/** Where the time of a round goes, and how free the event loops were, from the services' own metrics. */
import { scrape, sumOf, type Trio } from '@forerunner/testkit';

/** prom-client samples the event loop's delay with a timer of this interval, which is part of what it reports. */
const LAG_INTERVAL_MS = 10;

export interface Anatomy {
  readonly numRounds: number;
  /** Means per round, milliseconds. */
  readonly roundMs: number;
  readonly draftModelMs: number;
  readonly targetModelMs: number;
  /** What is neither model: network, encoding, distributions, verification. */
  readonly besidesMs: number;
  /** Bytes of frames per round, both ways. */
  readonly draftBytes: number;
  readonly targetBytes: number;
  /** 99th percentile of the event loop's delay, milliseconds: coordinator, target, draft. */
  readonly lagP99Ms: readonly number[];
}

export type Counters = Readonly<Record<'rounds' | 'round' | 'draft' | 'target' | 'draftBytes' | 'targetBytes', number>>;

export async function readCounters(trio: Trio): Promise<Counters> {
  const [coordinator, target, draft] = await Promise.all(
    [trio.coordinator, trio.target, trio.draft].map((service) => scrape(service.url)),
  );
  const bytes = (peer: string) =>
    [...coordinator!]
      .filter(([key]) => key.startsWith('forerunner_peer_bytes_total') && key.includes(`peer="${peer}"`))
      .reduce((sum, [, value]) => sum + value, 0);
  return {
    rounds: sumOf(coordinator!, 'forerunner_round_seconds_count'),
    round: sumOf(coordinator!, 'forerunner_round_seconds_sum'),
    draft: sumOf(draft!, 'forerunner_model_pass_seconds_sum'),
    target: sumOf(target!, 'forerunner_model_pass_seconds_sum'),
    draftBytes: bytes('draft'),
    targetBytes: bytes('target'),
  };
}

/** Sums over the rounds between two readings, prefills left out by the caller's choice of readings. */
export async function anatomyOf(trio: Trio, before: Counters, after: Counters): Promise<Anatomy> {
  const grown = (name: keyof Counters) => after[name] - before[name];
  const numRounds = grown('rounds');
  const perRoundMs = (name: keyof Counters) => (1000 * grown(name)) / numRounds;
  const lags = await Promise.all(
    [trio.coordinator, trio.target, trio.draft].map(async (service) => {
      const seconds = sumOf(await scrape(service.url), 'nodejs_eventloop_lag_p99_seconds');
      return Math.max(0, 1000 * seconds - LAG_INTERVAL_MS);
    }),
  );
  return {
    numRounds,
    roundMs: perRoundMs('round'),
    draftModelMs: perRoundMs('draft'),
    targetModelMs: perRoundMs('target'),
    besidesMs: perRoundMs('round') - perRoundMs('draft') - perRoundMs('target'),
    draftBytes: grown('draftBytes') / numRounds,
    targetBytes: grown('targetBytes') / numRounds,
    lagP99Ms: lags,
  };
}
