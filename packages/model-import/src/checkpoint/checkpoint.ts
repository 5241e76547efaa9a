/** What an importer needs of a checkpoint, whatever its format: configuration, tensors by transformers' names, texts. */
import { ImportError } from '../errors.ts';
import type { Matrix } from './matrix.ts';

export interface CheckpointTensor extends Matrix {
  readonly name: string;
  /** As transformers has them. */
  readonly dims: readonly number[];
  /** As the format calls it: BF16, F32, Q4_K … */
  readonly type: string;
}

export interface Checkpoint {
  /** 'safetensors' or 'gguf'. */
  readonly format: string;
  /** config.json of transformers, read or made from metadata. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** Bytes of all tensors. */
  readonly numBytes: number;
  /** Tokenizer, chat template and the like: file name → content. Without config.json. */
  companions(): ReadonlyMap<string, Uint8Array | string>;
  close(): void;
}

/** Takes tensors by name and knows which were not taken: one that nobody asked for is a model that is not understood. */
export class TensorSource {
  readonly #tensors: ReadonlyMap<string, CheckpointTensor>;
  readonly #taken = new Set<string>();

  constructor(checkpoint: Checkpoint) {
    this.#tensors = checkpoint.tensors;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** Errors: ImportError missing_tensor | bad_checkpoint when its shape is another one. */
  take(name: string, dims: readonly number[]): CheckpointTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new ImportError('missing_tensor', `the checkpoint has no tensor ${name}`);
    if (tensor.dims.join() !== dims.join()) {
      const [found, wanted] = [tensor.dims, dims].map((shape) => `[${shape.join(', ')}]`);
      throw new ImportError('bad_checkpoint', `${name} is ${found}; config.json makes it ${wanted}`);
    }
    this.#taken.add(name);
    return tensor;
  }

  /** Errors: ImportError unknown_tensor, naming the first that was not taken and that `harmless` does not know. */
  requireAllTaken(harmless: RegExp): void {
    const left = [...this.#tensors.keys()].filter((name) => !this.#taken.has(name) && !harmless.test(name));
    if (left.length === 0) return;
    const more = left.length > 1 ? ` and ${left.length - 1} more` : '';
    throw new ImportError('unknown_tensor', `${left[0]}${more}: not a part of the architecture that config.json names`);
  }
}
