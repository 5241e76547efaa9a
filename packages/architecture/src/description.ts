/** What a decoder-only language model computes, as data: everything but its weights. */

export interface ModelDescription {
  /** config.json's model_type. */
  readonly family: Family;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Width inside the feed-forward network. */
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Most positions that the model was made for. */
  readonly contextLength: number;
  readonly norm: NormDescription;
  readonly activation: Activation;
  /** Scores are q·k times this. */
  readonly attentionScale: number;
  /** c·tanh(x / c) over scores and over logits; absent: none. */
  readonly attentionSoftcap?: number;
  readonly logitSoftcap?: number;
  /** Token embeddings are multiplied by this. */
  readonly embeddingScale: number;
  /** The head's matrix is the embedding's. */
  readonly tiedEmbeddings: boolean;
  readonly layers: readonly LayerDescription[];
}

export const FAMILIES = [
  'llama',
  'smollm3',
  'mistral',
  'qwen2',
  'qwen3',
  'gemma2',
  'gemma3_text',
  'phi3',
  'gpt2',
] as const;
export type Family = (typeof FAMILIES)[number];

interface NormDescription {
  readonly kind: 'rms' | 'layer';
  readonly epsilon: number;
}

/** `gelu` is exact, `gelu_tanh` its usual approximation. */
export type Activation = 'silu' | 'gelu' | 'gelu_tanh';

export interface LayerDescription {
  /** Newest positions that a token sees, itself included; absent: all of them. */
  readonly window?: number;
  /** Rotary embedding; absent: the layer has none. */
  readonly rope?: RopeDescription;
}

export interface RopeDescription {
  /** Radians a position, one for each pair of dimensions that are turned. */
  readonly inverseFrequencies: Float64Array; // [rotaryDim / 2]
  /** Cosines and sines are multiplied by this. */
  readonly attentionFactor: number;
}
