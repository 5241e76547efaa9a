/**
 * Which replica a text goes to: always the same one, because its caches are there, unless that one has more than its
 * share of work. Rendezvous hashing (Thaler and Ravishankar 1998: when a replica leaves, only its own texts move) with
 * bounded loads (Mirrokni et al. 2018), where one that has just come has a smaller share. Knows names and counts; calls
 * nobody.
 */
import { createHash } from 'node:crypto';
import type { TokenPrefix } from '@forerunner/protocol';

export interface ReplicaLoad {
  readonly name: string;
  /** Answers that it works on. */
  readonly numRunning: number;
  /** Its weight among the others, 0 < weight <= 1: less than 1 while it starts slowly. */
  readonly weight: number;
}

/** Texts that are equal so far go to the same replica. */
const NUM_PREFIX_TOKENS = 64;

/** A replica with more answers than its share of them times this, and one more, is passed over. */
const MAX_SHARE = 1.25;

/** A replica that has come, or come back, has less than a whole weight for so long: its caches are cold. */
const SLOW_START_MS = 15_000;
const FIRST_WEIGHT = 0.1;

/** Weight of a replica that has been there for so long. */
export function slowStartWeight(ageMs: number): number {
  return Math.min(1, Math.max(FIRST_WEIGHT, ageMs / SLOW_START_MS));
}

/** What a text begins with, for those who may share its caches. */
export function prefixKey(text: TokenPrefix, cacheScope: string): string {
  return `${text.digestAt(Math.min(NUM_PREFIX_TOKENS, text.length))} ${cacheScope}`;
}

/** Indexes of the replicas, the preferred one first. */
export function rankReplicas(key: string, replicas: readonly ReplicaLoad[]): number[] {
  const numRunning = replicas.reduce((sum, replica) => sum + replica.numRunning, 0);
  const sumOfWeights = replicas.reduce((sum, replica) => sum + replica.weight, 0);
  const hashes = replicas.map(({ name }) => hashOf(key, name));
  const isOverloaded = replicas.map((replica) => {
    const bound = Math.ceil((MAX_SHARE * numRunning * replica.weight) / sumOfWeights) + 1;
    return Number(replica.numRunning > bound);
  });
  return [...replicas.keys()].sort((a, b) => isOverloaded[a]! - isOverloaded[b]! || hashes[b]! - hashes[a]!);
}

/** A number that looks random and depends on the two alone. */
function hashOf(key: string, name: string): number {
  return createHash('sha256').update(`${key} ${name}`).digest().readUIntBE(0, 6);
}
