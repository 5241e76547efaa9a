/**
 * Where the time of a round goes, what it costs in processor time and bytes, and how free the event loops were: from the
 * services' own metrics.
 */
import { scrape, sumOf, type Trio } from '@forerunner/testkit';

/** prom-client samples the event loop's delay with a timer of this interval, which is part of what it reports. */
const LAG_INTERVAL_MS = 10;

const PART = 'forerunner_round_part_seconds_total';
const MODELS = ['draft_model', 'target_model'];

export interface Anatomy {
  readonly numRounds: number;
  /** Means per round, milliseconds. */
  readonly roundMs: number;
  /** Its parts, as the coordinator's metrics name them. */
  readonly partsMs: Readonly<Record<string, number>>;
  /** What is neither model: network, encoding, distributions, verification. */
  readonly besidesMs: number;
  /** Processor time of all processes of the trio. */
  readonly cpuMs: number;
  /** Bytes of frames, both ways. */
  readonly numBytes: number;
  /** 99th percentile of the event loop's delay of each process, milliseconds. */
  readonly lagP99Ms: readonly number[];
}

type Samples = ReadonlyMap<string, number>;

/** One scrape of each process of the trio, the coordinator first. */
export async function scrapeAll(trio: Trio): Promise<Samples[]> {
  return Promise.all(trio.services.map(({ url }) => scrape(url)));
}

/** Of the rounds between two scrapes. */
export function anatomyOf(before: readonly Samples[], after: readonly Samples[]): Anatomy {
  const grown = (name: string, services = [0]) =>
    services.reduce((sum, i) => sum + sumOf(after[i]!, name) - sumOf(before[i]!, name), 0);
  const all = after.map((_, i) => i);
  const numRounds = grown('forerunner_round_seconds_count');
  const perRoundMs = (name: string, services = [0]) => (1000 * grown(name, services)) / numRounds;
  const partsMs = Object.fromEntries(
    [...after[0]!.keys()].flatMap((key) => {
      const part = key.startsWith(PART) ? /part="(\w+)"/.exec(key)?.[1] : undefined;
      return part ? [[part, (1000 * (after[0]!.get(key)! - (before[0]!.get(key) ?? 0))) / numRounds]] : [];
    }),
  );
  const roundMs = perRoundMs('forerunner_round_seconds_sum');
  return {
    numRounds,
    roundMs,
    partsMs,
    besidesMs: roundMs - MODELS.reduce((sum, part) => sum + partsMs[part]!, 0),
    cpuMs: perRoundMs('process_cpu_seconds_total', all),
    numBytes: grown('forerunner_round_bytes_total') / numRounds,
    lagP99Ms: after.map((samples) =>
      Math.max(0, 1000 * sumOf(samples, 'nodejs_eventloop_lag_p99_seconds') - LAG_INTERVAL_MS),
    ),
  };
}
