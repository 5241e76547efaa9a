/**
 * The seam between the engine and whatever executes an ONNX graph: token ids in, logits out.
 *
 * A runner knows graphs, tensors and KV memory. It knows nothing of sequence ids, digests, leases, queues, sampling or
 * HTTP. Rolling back is free: the caller says with every pass how many cached tokens are valid, and whatever lies
 * beyond is overwritten.
 */
import type { OnFallback } from './fallback.ts';
import type { EngineLog } from './log.ts';
import type { GraphSignature } from './signature.ts';

export interface RunnerOptions {
  /** Folder with model.onnx (and its external data), config.json. */
  readonly modelDir: string;
  /** Intra-op threads; THREADING_OPTIONS says how they wait for each other. */
  readonly numThreads: number;
  /**
   * Smallest number of rows of a pass; a shorter one is padded on the right by repeating its last token. 2 for targets:
   * the CPU's one-row kernels differ in the last bits from all others, and a target must be one function (see
   * docs/decisions/0003-never-one-row.md); from 2 on, passes that would leave one row to a kernel's last tile (33, 65,
   * ... rows) get one more as well. 1 for drafts: nothing is padded. A sequence of up to contextLength - (minRows - 1)
   * tokens always fits, pads included.
   */
  readonly minRows: number;
  /** Most items of a batch (BATCH_SIZE). */
  readonly maxBatchItems: number;
  readonly executionProvider: 'cpu' | 'webgpu' | 'cuda' | 'auto';
  readonly deviceId: number;
  /** What the caller will keep in caches at most: held against a GPU's memory before the model is loaded. */
  readonly kvBudgetBytes?: number;
  /** Handed to the execution provider as they are. */
  readonly providerOptions?: Readonly<Record<string, string>>;
  /** Another libonnxruntime than the one that onnxruntime-node ships (native runtime only). */
  readonly libraryPath?: string;
  /** Hears what was asked for and is not in use. */
  readonly onFallback?: OnFallback;
  readonly log?: EngineLog;
}

/** What a runner really is, for the model card. */
export interface RunnerDescription {
  readonly runtime: 'node' | 'native';
  readonly runtimeVersion: string;
  readonly executionProvider: string;
  /** Nodes that the provider left to the CPU; 0 on the CPU provider, null where the runtime does not tell. */
  readonly numFallbackNodes: number | null;
  readonly numThreads: number;
  /** Kind of memory that keeps the KV caches, as the runtime calls it ('Cpu', 'WebGPU_Buf', 'Cuda'). */
  readonly kvMemory?: string;
}

/** KV memory of one sequence. Holds no length: the caller owns that. */
export interface KvCache {
  /** Tokens that fit without growing. */
  readonly capacity: number;
  /** Bytes held now (device bytes where the cache lives on a device). */
  readonly bytes: number;
  /** Makes room for `numTokens`, keeping the first `numValid`. Grows in buckets. May throw EngineError out_of_memory. */
  ensureCapacity(numTokens: number, numValid: number): void;
  /** A copy of the first `numValid` tokens that may be written independently. */
  fork(numValid: number): KvCache;
  /** Frees the memory. Idempotent. Never while a pass is using it: that throws. */
  release(): void;
}

export interface ForwardItem {
  readonly cache: KvCache;
  /** Valid tokens in the cache before this pass; anything beyond is overwritten. */
  readonly numPastTokens: number;
  /** New tokens, at least one. */
  readonly tokenIds: Int32Array; // [numTokens]
  /** Number of new tokens, from the end, whose logits are wanted; 0 for a prefill chunk that nobody looks at. */
  readonly numLogitRows: number;
  /** Input of a feature draft: one row per new token. */
  readonly hiddenStates?: Float32Array; // [numTokens, hiddenStatesWidth]
  /** Return the graph's hidden states for the new tokens as well. */
  readonly wantHiddenStates?: boolean;
}

export interface ForwardOutput {
  /** Row-major; headSize is the draft's reduced vocabulary where it has one. float32 whatever the graph's type. */
  readonly logits: Float32Array; // [numLogitRows, headSize]
  readonly hiddenStates?: Float32Array; // [numTokens, hiddenStatesWidth]
}

export interface ForwardBatch {
  /** One output per item, in order. Valid until `release()`. */
  readonly outputs: readonly ForwardOutput[];
  /** Gives the output buffers back. Idempotent. */
  release(): void;
}

export interface ModelRunner {
  readonly signature: GraphSignature;
  readonly description: RunnerDescription;
  /** Most items of one pass; 1 where sequences take turns. */
  readonly maxSequences: number;
  createCache(initialCapacity: number): KvCache;
  /** Bytes of KV memory for `numTokens` (after rounding to buckets). */
  cacheBytes(numTokens: number): number;
  /**
   * One pass over at most maxSequences items of any lengths. Appends every item's tokens to its cache. A cache may be in
   * one pass at a time.
   * Errors: EngineError aborted | model_failed | token_out_of_range | context_overflow | out_of_memory.
   */
  forward(items: readonly ForwardItem[], signal?: AbortSignal): Promise<ForwardBatch>;
  /** Waits for the pass under way, then frees everything. Idempotent. */
  close(): Promise<void>;
}
