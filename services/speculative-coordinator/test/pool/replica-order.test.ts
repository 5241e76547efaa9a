/** Where texts go: evenly over the replicas, each always to the same one, and never more to one than it can do. */
import { TokenPrefix } from '@forerunner/protocol';
import { describe, expect, it } from 'vitest';
import { prefixKey, type ReplicaLoad, rankReplicas, slowStartWeight } from '../../src/pair/pool/replica-order.ts';

const idle = (count: number): ReplicaLoad[] =>
  Array.from({ length: count }, (_, i) => ({ name: `http://target-${i}:8002`, numRunning: 0, weight: 1 }));
const KEYS = Array.from({ length: 4000 }, (_, i) => `key ${i}`);
const firstOf = (key: string, replicas: readonly ReplicaLoad[]) => replicas[rankReplicas(key, replicas)[0]!]!.name;

describe('the order of replicas', () => {
  it('names each replica once', () => {
    expect(rankReplicas('a', idle(5)).toSorted()).toEqual([0, 1, 2, 3, 4]);
    expect(rankReplicas('a', idle(1))).toEqual([0]);
    expect(rankReplicas('a', [])).toEqual([]);
  });

  it.each([2, 3, 5, 8])('spreads texts evenly over %i replicas', (count) => {
    const counts = new Map<string, number>();
    for (const key of KEYS) counts.set(firstOf(key, idle(count)), (counts.get(firstOf(key, idle(count))) ?? 0) + 1);
    const share = KEYS.length / count;
    for (const value of counts.values()) expect(Math.abs(value - share)).toBeLessThan(5 * Math.sqrt(share));
    expect(counts.size).toBe(count);
  });

  it('moves only the texts of a replica that leaves, to all the others', () => {
    const before = idle(5);
    const after = before.filter((_, i) => i !== 2);
    const movedTo = new Set<string>();
    for (const key of KEYS) {
      const [was, is] = [firstOf(key, before), firstOf(key, after)];
      if (was === before[2]!.name) movedTo.add(is);
      else expect(is).toBe(was);
    }
    expect(movedTo.size).toBe(4);
  });

  it('does not depend on the order in which the replicas are named', () => {
    for (const key of KEYS.slice(0, 100)) expect(firstOf(key, idle(4).toReversed())).toBe(firstOf(key, idle(4)));
  });

  it('bounds what one prefix that everybody has brings to one replica', () => {
    for (const count of [2, 3, 8]) {
      const running = idle(count).map((replica) => ({ ...replica }));
      for (let n = 1; n <= 100; n++) {
        running[rankReplicas('hot', running)[0]!]!.numRunning++;
        const most = Math.max(...running.map(({ numRunning }) => numRunning));
        expect(most).toBeLessThanOrEqual(Math.ceil((1.25 * n) / count) + 2);
      }
    }
  });

  it('gives one that has just come a smaller share, which grows', () => {
    const shares = [0, 5000, 15_000].map((ageMs) => {
      const running = idle(2).map((replica, i) => ({ ...replica, weight: i === 0 ? slowStartWeight(ageMs) : 1 }));
      for (let n = 0; n < 100; n++) running[rankReplicas(`key ${n}`, running)[0]!]!.numRunning++;
      return running[0]!.numRunning;
    });
    expect(shares[0]).toBeLessThan(20);
    expect(shares[1]).toBeGreaterThan(20);
    expect(shares[1]).toBeLessThan(40);
    expect(shares[2]).toBeGreaterThan(40);
  });

  it('keeps a prefix where it is while the load is even', () => {
    const even = idle(4).map((replica) => ({ ...replica, numRunning: 7 }));
    for (const key of KEYS.slice(0, 100)) expect(firstOf(key, even)).toBe(firstOf(key, idle(4)));
  });
});

describe('the key of a prefix', () => {
  const textOf = (length: number, change: (i: number) => number = (i) => i) => {
    const text = new TokenPrefix();
    text.append(Array.from({ length }, (_, i) => change(i)));
    return text;
  };

  it('is of the first 64 tokens: turns of a chat have the same', () => {
    expect(prefixKey(textOf(64), '')).toBe(prefixKey(textOf(500), ''));
    expect(prefixKey(textOf(63), '')).not.toBe(prefixKey(textOf(64), ''));
    const other = (i: number) => (i === 63 ? 0 : i);
    expect(prefixKey(textOf(500, other), '')).not.toBe(prefixKey(textOf(500), ''));
  });

  it('is another one in another scope, which shares no cache', () => {
    expect(prefixKey(textOf(64), 'key:a')).not.toBe(prefixKey(textOf(64), 'key:b'));
  });
});
