/**
 * Which replicas of a pool do so much worse than the others that new answers should go elsewhere for a while: those that
 * fail more often, and those that are slower than the others' median. Replicas of a pool do the same work, so they are
 * measured against each other, never against a number of ours. Pure: sees what was counted, ejects nobody.
 *
 * What a call takes depends on its prompt and on whom it shares a pass with. So two things are compared that do not: the
 * way there and back (the call's time without what the service itself took), and what one and the same small pass costs
 * each replica by its own card, which every pass corrects.
 */
import { type PassCosts, passMs } from '@forerunner/protocol';

/** What was seen of one replica in the last while. */
export interface ReplicaRecord {
  /** Calls that ended, whatever came of them. */
  readonly numCalls: number;
  /** Those among them without an answer: no connection, no reply in time, a broken one. */
  readonly numFailures: number;
  /** Of answered calls with few tokens: their time beyond what the service says it took, milliseconds. */
  readonly tripsMs: readonly number[];
  /** null: it showed no card. */
  readonly passCosts: PassCosts | null;
  /** Already passed over, for whatever reason. */
  readonly isOut: boolean;
}

export interface Outlier {
  readonly index: number;
  readonly reason: 'failures' | 'latency';
}

/** At least this share of the replicas stays in, whatever they do. */
const MIN_SHARE_IN = 0.5;
/** Fewer calls say nothing. */
const MIN_CALLS = 16;
const MIN_FAILURES = 3;
/** A replica is an outlier that fails in more than this share of its calls, and more than twice as often as the others. */
const MAX_FAILURE_SHARE = 0.2;
/** A replica is an outlier whose small pass takes so many times the others' median, way included, and so much longer. */
const MAX_SLOWNESS = 3;
const MIN_EXCESS_MS = 20;
const SMALL_PASS = { numRows: 4, numSequences: 1, numCachedTokens: 256 };

/** Those to eject now, the worst first. Fewer than all that qualify where too many would be out. */
export function findOutliers(replicas: readonly ReplicaRecord[]): Outlier[] {
  const numMayBeOut = Math.floor(replicas.length * (1 - MIN_SHARE_IN));
  const room = numMayBeOut - replicas.filter(({ isOut }) => isOut).length;
  const found = [...replicas.entries()].flatMap(([index, replica]) => {
    if (replica.isOut) return [];
    const others = replicas.filter((other) => other !== replica && !other.isOut);
    const outlier = failing(replica, others) ?? slow(replica, others);
    return outlier ? [{ index, ...outlier }] : [];
  });
  const worst = found.toSorted((a, b) => b.badness - a.badness);
  return worst.slice(0, Math.max(0, room)).map(({ index, reason }) => ({ index, reason }));
}

type Found = Pick<Outlier, 'reason'> & { readonly badness: number };

function failing({ numCalls, numFailures }: ReplicaRecord, others: readonly ReplicaRecord[]): Found | null {
  if (numCalls < MIN_CALLS || numFailures < MIN_FAILURES) return null;
  const numOtherCalls = others.reduce((sum, other) => sum + other.numCalls, 0);
  const numOtherFailures = others.reduce((sum, other) => sum + other.numFailures, 0);
  if (numOtherCalls < MIN_CALLS) return null;
  const share = numFailures / numCalls;
  if (share <= MAX_FAILURE_SHARE || share <= (2 * numOtherFailures) / numOtherCalls) return null;
  return { reason: 'failures', badness: 1000 * share }; // failures weigh more than any slowness
}

function slow(replica: ReplicaRecord, others: readonly ReplicaRecord[]): Found | null {
  const own = smallPassMs(replica);
  const ofOthers = others.flatMap((other) => smallPassMs(other) ?? []);
  if (own === null || ofOthers.length === 0) return null;
  const usual = medianOf(ofOthers);
  if (own <= MAX_SLOWNESS * usual || own - usual < MIN_EXCESS_MS) return null;
  return { reason: 'latency', badness: own / usual };
}

/** A small pass with its way there and back; null: not enough is known. */
function smallPassMs({ tripsMs, passCosts }: ReplicaRecord): number | null {
  if (tripsMs.length < MIN_CALLS || !passCosts) return null;
  return medianOf(tripsMs) + passMs(passCosts, SMALL_PASS);
}

/** The lower of the two in the middle where there are two. */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}
