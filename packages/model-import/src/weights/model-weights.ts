/** The weights of a decoder by their part in it, whatever the checkpoint calls them. Read when they are wanted. */
import type { Matrix } from '../checkpoint/matrix.ts';

/** y = x · weightᵀ + bias. */
export interface Linear {
  readonly weight: Matrix; // [out, in]
  readonly bias?: Matrix; // [out]
}

export interface Norm {
  readonly weight: Matrix; // [width]
  readonly bias?: Matrix; // [width], of layer norms
}

/** x + attention(inputNorm(x)), then x + mlp(mlpNorm(x)); the gemmas also norm what is added. */
export interface LayerWeights {
  readonly inputNorm: Norm;
  /** Queries, keys and values of all heads, one below the other. */
  readonly qkv: Linear;
  /** Over each head of query or key. */
  readonly queryNorm?: Norm;
  readonly keyNorm?: Norm;
  readonly attentionOutput: Linear;
  readonly postAttentionNorm?: Norm;
  readonly mlpNorm: Norm;
  /** Absent: a plain network, down(act(up(x))); else down(act(gate(x)) · up(x)). */
  readonly gate?: Linear;
  readonly up: Linear;
  readonly down: Linear;
  readonly postMlpNorm?: Norm;
}

export interface ModelWeights {
  readonly embedding: Matrix; // [vocab, hidden]
  /** Learned positions. */
  readonly positions?: Matrix; // [context, hidden]
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Norm;
  /** Absent: the embedding's. */
  readonly head?: Matrix; // [vocab, hidden]
}
