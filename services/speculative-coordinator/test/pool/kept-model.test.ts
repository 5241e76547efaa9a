/** Which model a pool serves when its replicas have several, and what the others are told. */
import { describe, expect, it } from 'vitest';
import { keepOneModel, type MemberCard } from '../../src/pair/pool/kept-model.ts';
import { toyCard } from '../toy-peers.ts';

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)] as const;
const members = (...digests: (string | Error)[]): MemberCard[] =>
  digests.map((digest, i) => ({
    name: `http://t${i}`,
    card: digest instanceof Error ? digest : toyCard('target-service', { model_digest: digest }),
  }));
const keep = (digests: (string | Error)[], servedDigest: string | null = null, refused: string | null = null) =>
  keepOneModel('target', members(...digests), {
    refuse: ({ model_digest }) => (model_digest === refused ? 'it does not fit' : null),
    servedDigest,
  });
const differ =
  'target replicas serve different models: "toy-target-service" (aaaaaaaaaaaa) at http://t0 and "toy-target-service" (bbbbbbbbbbbb)';

describe('the model that a pool serves', () => {
  it('is that of all, as far as they answer', () => {
    const { served, refusals } = keep([A, new Error('ECONNREFUSED'), A]);
    expect(served).toMatchObject({ card: { model_digest: A } });
    expect(refusals).toEqual([null, null, null]);
  });

  it('is that of most; the others are refused in a sentence that names both', () => {
    const { served, refusals } = keep([A, B, A]);
    expect(served).toMatchObject({ card: { model_digest: A } });
    expect(refusals).toEqual([null, `${differ} at http://t1, which is left out`, null]);
  });

  it('stays the one that was served while as many have it, and changes when fewer do', () => {
    for (const digest of [A, B]) expect(keep([A, B], digest).served).toMatchObject({ card: { model_digest: digest } });
    expect(keep([A, B, B], A).served).toMatchObject({ card: { model_digest: B } });
  });

  it('is none where nobody can tell: as many have another one, and none was served', () => {
    const { served, refusals } = keep([A, B]);
    const reason = `${differ} at http://t1`;
    expect(served).toEqual({ reason, isMisfit: true });
    expect(refusals).toEqual([reason, reason]);
  });

  it('is never one that does not fit, however many have it', () => {
    const { served, refusals } = keep([A, B, B], B, B);
    expect(served).toMatchObject({ card: { model_digest: A } });
    expect(refusals).toEqual([null, 'it does not fit', 'it does not fit']);
    expect(keep([B], null, B).served).toEqual({ reason: 'it does not fit', isMisfit: true });
  });

  it('is none while nobody answers, for the reason of the first', () => {
    expect(keep([new Error('ECONNREFUSED'), new Error('late')]).served).toEqual({
      reason: 'ECONNREFUSED',
      isMisfit: false,
    });
    expect(keep([]).served).toEqual({ reason: 'no replica is known', isMisfit: false });
  });
});
