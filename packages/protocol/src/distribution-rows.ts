/**
 * Several probability distributions as three flat arrays, the way they cross the wire. Sparse rows list their support in
 * ascending order; when nothing was filtered the rows are dense, and no ids are sent.
 */
import { ServiceError } from './errors.ts';

export interface DistributionRows {
  readonly offsets: Int32Array; // [numRows + 1]
  readonly tokenIds: Int32Array | null; // [nnz]; null: every row is dense over the vocabulary
  readonly probs: Float32Array; // [nnz]
}

/** Rows as they stand in a message. */
export interface DistributionSections {
  readonly prob_offsets: Int32Array;
  readonly prob_token_ids?: Int32Array;
  readonly probs: Float32Array;
}

interface Distribution {
  readonly tokenIds: Int32Array | null;
  readonly probs: Float32Array;
}

export function numDistributionRows(rows: DistributionRows): number {
  return rows.offsets.length - 1;
}

/** Row `index` as views of the rows' memory. */
export function distributionAt(rows: DistributionRows, index: number): Distribution {
  const start = rows.offsets[index]!;
  const end = rows.offsets[index + 1]!;
  return { tokenIds: rows.tokenIds?.subarray(start, end) ?? null, probs: rows.probs.subarray(start, end) };
}

/** Packs distributions for the wire. Where one is sparse, dense ones are written with their ids. */
export function packDistributions(distributions: readonly Distribution[]): DistributionRows {
  const sparse = distributions.some((distribution) => distribution.tokenIds !== null);
  const offsets = new Int32Array(distributions.length + 1);
  distributions.forEach((distribution, i) => {
    offsets[i + 1] = offsets[i]! + distribution.probs.length;
  });
  const nnz = offsets[distributions.length]!;
  const probs = new Float32Array(nnz);
  const tokenIds = sparse ? new Int32Array(nnz) : null;
  distributions.forEach((distribution, i) => {
    const start = offsets[i]!;
    probs.set(distribution.probs, start);
    if (distribution.tokenIds) tokenIds?.set(distribution.tokenIds, start);
    else if (tokenIds) for (let id = 0; id < distribution.probs.length; id++) tokenIds[start + id] = id;
  });
  return { offsets, tokenIds, probs };
}

export function distributionSections(rows: DistributionRows): DistributionSections {
  return {
    prob_offsets: rows.offsets,
    ...(rows.tokenIds && { prob_token_ids: rows.tokenIds }),
    probs: rows.probs,
  };
}

/** Reads what `distributionSections` wrote and checks that it is whole. Errors: malformed_frame. */
export function readDistributionRows(
  sections: { readonly [Name in keyof DistributionSections]?: unknown },
  vocabSize: number,
): DistributionRows {
  const { prob_offsets: offsets, prob_token_ids: tokenIds, probs } = sections;
  const fail = (why: string): never => {
    throw new ServiceError('malformed_frame', `malformed frame: ${why}`);
  };
  if (!(offsets instanceof Int32Array) || offsets.length === 0) return fail('"prob_offsets" (int32) is missing');
  if (!(probs instanceof Float32Array)) return fail('"probs" (float32) is missing');
  if (tokenIds !== undefined && !(tokenIds instanceof Int32Array)) return fail('"prob_token_ids" must be int32');
  if (offsets[0] !== 0 || offsets.at(-1) !== probs.length) fail('"prob_offsets" does not span "probs"');
  if (tokenIds && tokenIds.length !== probs.length) fail('"prob_token_ids" and "probs" differ in length');
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
