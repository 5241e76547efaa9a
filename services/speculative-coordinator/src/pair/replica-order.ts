/**
 * Which replica a text goes to: always the same one, because its caches are there, unless that one has more than its
 * share of work. Rendezvous hashing (Thaler and Ravishankar 1998: when a replica leaves, only its own texts move) with
 * bounded loads (Mirrokni et al. 2018). Knows names and counts; calls nobody.
 */
import { createHash } from 'node:crypto';
import type { TokenPrefix } from '@forerunner/protocol';

export interface ReplicaLoad {
  readonly name: string;
  /** Answers that it works on. */
  readonly numRunning: number;
}

/** Texts that are equal so far go to the same replica. */
const NUM_PREFIX_TOKENS = 64;

/** A replica with more answers than this share of the mean, and one more, is passed over. */
const MAX_SHARE = 1.25;

/** What a text begins with, for those who may share its caches. */
export function prefixKey(text: TokenPrefix, cacheScope: string): string {
  return `${text.digestAt(Math.min(NUM_PREFIX_TOKENS, text.length))} ${cacheScope}`;
}

/** Indexes of the replicas, the preferred one first. */
export function rankReplicas(key: string, replicas: readonly ReplicaLoad[]): number[] {
  const numRunning = replicas.reduce((sum, replica) => sum + replica.numRunning, 0);
  const bound = Math.ceil((MAX_SHARE * numRunning) / replicas.length) + 1;
  const weights = replicas.map(({ name }) => weightOf(key, name));
  const isOverloaded = replicas.map((replica) => Number(replica.numRunning > bound));
  return [...replicas.keys()].sort((a, b) => isOverloaded[a]! - isOverloaded[b]! || weights[b]! - weights[a]!);
}

/** A number that looks random and depends on the two alone. */
function weightOf(key: string, name: string): number {
  return createHash('sha256').update(`${key} ${name}`).digest().readUIntBE(0, 6);
}
