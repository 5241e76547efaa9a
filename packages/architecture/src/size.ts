/** How large a model is, from its description: parameters, bytes of its weights, bytes of its caches. */
import type { ModelDescription } from './description.ts';

/** Values of its matrices. Norms and biases, under a thousandth of a large model, are left out. */
export interface MatrixSizes {
  /** Tokens, learned positions, and the head where it is not the embedding. */
  readonly embedding: number;
  readonly layers: number;
}

export function matrixSizes(model: ModelDescription): MatrixSizes {
  const { vocabSize, hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, contextLength } = model;
  const hasPositions = model.family === 'gpt2';
  const tables = (model.tiedEmbeddings ? 1 : 2) * vocabSize + (hasPositions ? contextLength : 0);
  const attention = (2 * numHeads + 2 * numKvHeads) * headDim * hiddenSize;
  const network = (model.family === 'gpt2' ? 2 : 3) * hiddenSize * intermediateSize; // gpt2 has no gate
  return { embedding: tables * hiddenSize, layers: model.layers.length * (attention + network) };
}

export type WeightPrecision = 'int8' | 'int4' | 'float16' | 'float32';

/** Bytes a value: blocks of 32 with a float32 scale each; embedding and head stay at 8 bits in int4. */
const BYTES: Record<WeightPrecision, { embedding: number; layers: number }> = {
  int8: { embedding: 36 / 32, layers: 36 / 32 },
  int4: { embedding: 36 / 32, layers: 20 / 32 },
  float16: { embedding: 2, layers: 2 },
  float32: { embedding: 4, layers: 4 },
};

export function weightBytes(model: ModelDescription, precision: WeightPrecision): number {
  const { embedding, layers } = matrixSizes(model);
  return embedding * BYTES[precision].embedding + layers * BYTES[precision].layers;
}

/** Keys and values of one token in all layers; a window does not lessen them. */
export function cacheBytesPerToken(model: ModelDescription, isHalf: boolean): number {
  return 2 * model.layers.length * model.numKvHeads * model.headDim * (isHalf ? 2 : 4);
}
