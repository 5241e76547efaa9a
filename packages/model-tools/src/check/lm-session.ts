/**
 * Runs one sequence through a causal-LM graph, rewritten or not, with the plainest possible calls: for checks and for
 * making training text, never for serving. The graph comes as bytes, so that a rewrite can be tried before it is
 * written; its external data is read where it lies. Knows the input names of the usual exports.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { ModelToolError } from '../errors.ts';

export type Past = ReadonlyMap<string, Tensor>; // past_key_values.* → [batch, kv_heads, length or more, head_dim]

export interface LmStep {
  readonly tokenIds: ArrayLike<number>; // [seq]
  readonly past: Past;
  readonly numPastTokens: number;
  readonly hiddenStates?: Float32Array; // [seq, width], for a feature draft
  readonly numLogitsToKeep?: number; // 0 or absent: all rows
}

type Floats = 'float32' | 'float16';

export class LmSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly #session: InferenceSession;
  readonly #pastInputs: { name: string; type: Floats; numHeads: number; headDim: number }[];

  private constructor(session: InferenceSession, headDim: number) {
    this.#session = session;
    this.inputNames = session.inputNames;
    this.outputNames = session.outputNames;
    this.#pastInputs = session.inputMetadata.flatMap((value) => {
      if (!value.isTensor || !value.name.startsWith('past_key_values.')) return [];
      const dim = value.shape[3];
      return [
        {
          name: value.name,
          type: value.type as Floats,
          numHeads: Number(value.shape[1]),
          headDim: typeof dim === 'number' && dim > 0 ? dim : headDim,
        },
      ];
    });
  }

  /** `headDim` is used where the graph leaves it open. Errors: ModelToolError check_failed, with the runtime's words. */
  static async open(modelBytes: Uint8Array, dataFolder: string, headDim: number): Promise<LmSession> {
    try {
      const session = await InferenceSession.create(modelBytes, {
        logSeverityLevel: 4,
        intraOpNumThreads: 1,
        extra: { session: { model_external_initializers_file_folder_path: dataFolder } },
      });
      return new LmSession(session, headDim);
    } catch (cause) {
      throw new ModelToolError('check_failed', `ONNX Runtime refuses the graph: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  emptyPast(capacity = 0): Map<string, Tensor> {
    return new Map(
      this.#pastInputs.map(({ name, type, numHeads, headDim }) => {
        const length = numHeads * capacity * headDim;
        const data = type === 'float32' ? new Float32Array(length) : new Uint16Array(length);
        return [name, new Tensor(type, data, [1, numHeads, capacity, headDim])];
      }),
    );
  }

  /** All outputs by name. */
  async run(step: LmStep): Promise<Record<string, Tensor>> {
    const { tokenIds, past, numPastTokens } = step;
    const seq = tokenIds.length;
    const range = Array.from({ length: seq }, (_, row) => numPastTokens + row);
    const feeds: Record<string, Tensor> = { input_ids: new Tensor('int64', int64(tokenIds), [1, seq]) };
    if (this.inputNames.includes('attention_mask')) {
      const total = numPastTokens + seq;
      feeds.attention_mask = new Tensor('int64', new BigInt64Array(total).fill(1n), [1, total]);
    }
    if (this.inputNames.includes('position_ids')) feeds.position_ids = new Tensor('int64', int64(range), [1, seq]);
    if (this.inputNames.includes('num_logits_to_keep')) {
      feeds.num_logits_to_keep = new Tensor('int64', [BigInt(step.numLogitsToKeep ?? 0)], []);
    }
    if (step.hiddenStates)
      feeds.features = new Tensor('float32', step.hiddenStates, [1, seq, step.hiddenStates.length / seq]);
    for (const [name, tensor] of past) feeds[name] = visibleToRuntime(tensor);
    return (await this.#session.run(feeds)) as Record<string, Tensor>;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

export function presentNameOf(pastName: string): string {
  return pastName.replace('past_key_values.', 'present.');
}

/** The present outputs of a step as the next step's past. */
export function pastFrom(outputs: Readonly<Record<string, Tensor>>): Past {
  const past = new Map<string, Tensor>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (name.startsWith('present.')) past.set(name.replace('present.', 'past_key_values.'), tensor);
  }
  return past;
}

export function toFloat32(tensor: Tensor | undefined): Float32Array {
  if (!tensor) throw new ModelToolError('check_failed', 'the graph did not give an output that the check needs');
  if (tensor.type === 'float32') return tensor.data as Float32Array;
  const { buffer, byteOffset, byteLength } = float16Bits(tensor);
  return Float32Array.from(new Float16Array(buffer, byteOffset, byteLength / 2));
}

function int64(values: ArrayLike<number>): BigInt64Array {
  return BigInt64Array.from(Array.from(values, BigInt));
}

/** onnxruntime-node 1.30 sees no bytes in a Float16Array (N-API has no such type): it is shown the bits instead. */
function visibleToRuntime(tensor: Tensor): Tensor {
  if (tensor.type === 'float16' && !Object.hasOwn(tensor, 'data')) {
    Object.defineProperty(tensor, 'data', { value: float16Bits(tensor) });
  }
  return tensor;
}

function float16Bits(tensor: Tensor): Uint16Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = tensor.data as Uint16Array<ArrayBuffer>;
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
