/** What a causal-LM graph looks like from outside, read off its inputs and outputs and its config.json. */

export type FloatType = 'float32' | 'float16';

export interface GraphSignature {
  readonly vocabSize: number;
  /** Rows of the head: vocabSize, or a draft's reduced vocabulary. */
  readonly headSize: number;
  /** Head row -> token id of the target; absent for a full head. */
  readonly draftToTarget?: Int32Array; // [headSize]
  /** Most tokens that a sequence may hold. */
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId?: number;
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly kvType: FloatType;
  readonly logitsType: FloatType;
  readonly hasPositionIds: boolean;
  readonly hasAttentionMask: boolean;
  /** Name of the scalar int64 input that limits the head to the last N rows, where the graph has one. */
  readonly numLogitsToKeepInput?: string;
  /** Output with the head's input (after the last norm), where the graph has one. */
  readonly hiddenStatesOutput?: { readonly output: string; readonly width: number };
  /** Input of a feature draft, where the graph has one. */
  readonly hiddenStatesInput?: { readonly input: string; readonly width: number };
}
