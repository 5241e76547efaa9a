/**
 * Several probability laws as three flat arrays, the way they cross the wire. Sparse rows list their support in
 * ascending order; when nothing was filtered the rows are dense, and no ids are sent.
 */
import { ServiceError } from './errors.ts';
import type { Section } from './frame.ts';

export interface LawRows {
  readonly offsets: Int32Array; // [numRows + 1]
  readonly tokenIds: Int32Array | null; // [nnz]; null: every row is dense over the vocabulary
  readonly probs: Float32Array; // [nnz]
}

interface Law {
  readonly tokenIds: Int32Array | null;
  readonly probs: Float32Array;
}

export function numLawRows(rows: LawRows): number {
  return rows.offsets.length - 1;
}

/** Row `index` as views of the rows' memory. */
export function lawAt(rows: LawRows, index: number): Law {
  const start = rows.offsets[index]!;
  const end = rows.offsets[index + 1]!;
  return { tokenIds: rows.tokenIds?.subarray(start, end) ?? null, probs: rows.probs.subarray(start, end) };
}

/** Packs laws for the wire. Where one is sparse, dense ones are written with their ids. */
export function packLaws(laws: readonly Law[]): LawRows {
  const sparse = laws.some((law) => law.tokenIds !== null);
  const offsets = new Int32Array(laws.length + 1);
  laws.forEach((law, i) => {
    offsets[i + 1] = offsets[i]! + law.probs.length;
  });
  const nnz = offsets[laws.length]!;
  const probs = new Float32Array(nnz);
  const tokenIds = sparse ? new Int32Array(nnz) : null;
  laws.forEach((law, i) => {
    const start = offsets[i]!;
    probs.set(law.probs, start);
    if (law.tokenIds) tokenIds?.set(law.tokenIds, start);
    else if (tokenIds) for (let id = 0; id < law.probs.length; id++) tokenIds[start + id] = id;
  });
  return { offsets, tokenIds, probs };
}

export function lawSections(rows: LawRows): Record<string, Section> {
  return {
    law_offsets: rows.offsets,
    ...(rows.tokenIds && { law_token_ids: rows.tokenIds }),
    law_probs: rows.probs,
  };
}

/** Reads what `lawSections` wrote and checks that it is whole. Errors: malformed_frame. */
export function readLawRows(sections: Readonly<Record<string, Section>>, vocabSize: number): LawRows {
  const { law_offsets: offsets, law_token_ids: tokenIds, law_probs: probs } = sections;
  const fail = (why: string): never => {
    throw new ServiceError('malformed_frame', `malformed frame: ${why}`);
  };
  if (!(offsets instanceof Int32Array) || offsets.length === 0) return fail('"law_offsets" (int32) is missing');
  if (!(probs instanceof Float32Array)) return fail('"law_probs" (float32) is missing');
  if (tokenIds !== undefined && !(tokenIds instanceof Int32Array)) return fail('"law_token_ids" must be int32');
  if (offsets[0] !== 0 || offsets.at(-1) !== probs.length) fail('"law_offsets" does not span "law_probs"');
  if (tokenIds && tokenIds.length !== probs.length) fail('"law_token_ids" and "law_probs" differ in length');
  for (let row = 0; row + 1 < offsets.length; row++) {
    const start = offsets[row]!;
    const end = offsets[row + 1]!;
    if (end < start || end > probs.length) fail(`row ${row} ends before it starts`);
    if (!tokenIds && end - start !== vocabSize) fail(`dense row ${row} has ${end - start} of ${vocabSize} entries`);
    if (tokenIds && !isAscendingWithin(tokenIds, start, end, vocabSize)) {
      fail(`the token ids of row ${row} are not ascending within 0..${vocabSize - 1}`);
    }
  }
  return { offsets, tokenIds: tokenIds ?? null, probs };
}

function isAscendingWithin(ids: Int32Array, start: number, end: number, vocabSize: number): boolean {
  for (let i = start, previous = -1; i < end; i++) {
    const id = ids[i]!;
    if (id <= previous) return false;
    previous = id;
  }
  return end === start || ids[end - 1]! < vocabSize;
}
