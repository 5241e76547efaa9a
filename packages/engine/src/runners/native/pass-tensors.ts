/**
 * The tensors that differ from pass to pass: ids, mask or write indices, positions, hidden states in; logits, hidden
 * states out. Knows which inputs a graph has and how rows are laid out; knows nothing of where K and V are.
 */
import type { ForwardOutput } from '../../runner.ts';
import type { FloatType } from '../../signature.ts';
import { widenFloat16 } from '../float16.ts';
import { type PassPlan, writeHiddenStates, writeTokenIds } from '../pass-plan.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import type { IoBinding } from './io-binding.ts';
import type { Lane } from './lanes.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { OutputBuffers } from './output-buffers.ts';
import { type ElementType, hostTensor } from './tensor.ts';

/** One sequence of the tensor; without a plan it runs along idly, and what it writes lies beyond what it holds. */
export interface PassRows {
  readonly plan?: PassPlan;
  readonly numHeld: number;
}

type ReadRows = (sequence: number, firstRow: number, numRows: number) => Float32Array;

export class PassTensors {
  readonly hostInfo: Pointer;
  readonly #api: OrtApi;
  readonly #graph: GraphBinding;
  readonly #outputs = new OutputBuffers();
  /** The mask of every pass is its beginning: all positions up to the last new one count. */
  readonly #ones: BigInt64Array; // [contextLength]

  constructor(api: OrtApi, graph: GraphBinding) {
    this.#api = api;
    this.#graph = graph;
    this.hostInfo = api.CreateCpuMemoryInfo(0, 0);
    this.#ones = new BigInt64Array(graph.signature.contextLength).fill(1n);
  }

  /**
   * Binds everything but the caches. All plans have the same numRows and numHeadRows. Returns how to read the outputs
   * when the run is over, one per sequence; the buffers behind them are added to `taken`.
   */
  bind(binding: IoBinding, lane: Lane, sequences: readonly PassRows[], taken: Float32Array[]): () => ForwardOutput[] {
    const { numRows, numHeadRows } = sequences.find(({ plan }) => plan)!.plan!;
    this.#bindInputs(binding, lane, sequences, numRows, numHeadRows);
    const { hiddenStatesOutput: hidden, headSize, logitsType } = this.#graph.signature;
    const wantHidden = sequences.some(({ plan }) => plan?.item.wantHiddenStates);
    const count = sequences.length;
    const readLogits = this.#bindOutput(binding, 'logits', logitsType, [count, numHeadRows, headSize], taken);
    const readHidden =
      hidden && (wantHidden || binding.isOutputBound(hidden.output)) // the API cannot unbind one output
        ? this.#bindOutput(
            binding,
            hidden.output,
            this.#graph.hiddenStatesOutputType,
            [count, numRows, hidden.width],
            taken,
          )
        : undefined;
    return () =>
      sequences.map(({ plan }, sequence) => ({
        logits: readLogits(sequence, plan?.firstLogitRow ?? 0, plan?.item.numLogitRows ?? 0),
        ...(readHidden && plan?.item.wantHiddenStates && { hiddenStates: readHidden(sequence, 0, plan.numTokens) }),
      }));
  }

  giveBack(buffers: readonly Float32Array[]): void {
    for (const buffer of buffers) this.#outputs.giveBack(buffer);
  }

  close(): void {
    this.#api.ReleaseMemoryInfo(this.hostInfo);
  }

  #bindInputs(binding: IoBinding, lane: Lane, sequences: readonly PassRows[], numRows: number, numHeadRows: number) {
    const { signature, hasWriteIndices } = this.#graph;
    const count = sequences.length;
    const total = count * numRows;
    if (lane.tokenIds.length < total) lane.tokenIds = new BigInt64Array(total);
    for (const [i, { plan }] of sequences.entries()) {
      if (plan) writeTokenIds(plan, lane.tokenIds, i * numRows);
      else lane.tokenIds.fill(0n, i * numRows, (i + 1) * numRows);
    }
    this.#bindInput(binding, 'input_ids', lane.tokenIds, 'int64', [count, numRows]);
    if (hasWriteIndices) {
      for (const [i, { numHeld }] of sequences.entries()) lane.writeIndices[i] = BigInt(numHeld);
      this.#bindInput(binding, 'write_indices', lane.writeIndices, 'int64', [count]);
    }
    if (signature.hasAttentionMask) {
      this.#bindInput(binding, 'attention_mask', this.#ones, 'int64', [count, sequences[0]!.numHeld + numRows]);
    }
    if (signature.hasPositionIds) {
      if (lane.positions.length < total) lane.positions = new BigInt64Array(total);
      for (const [i, { numHeld }] of sequences.entries()) {
        for (let row = 0; row < numRows; row++) lane.positions[i * numRows + row] = BigInt(numHeld + row);
      }
      this.#bindInput(binding, 'position_ids', lane.positions, 'int64', [count, numRows]);
    }
    if (signature.numLogitsToKeepInput) {
      lane.numHeadRows[0] = BigInt(numHeadRows);
      this.#bindInput(binding, signature.numLogitsToKeepInput, lane.numHeadRows, 'int64', []);
    }
    if (signature.hiddenStatesInput) this.#bindHiddenStates(binding, lane, sequences, numRows);
  }

  #bindHiddenStates(binding: IoBinding, lane: Lane, sequences: readonly PassRows[], numRows: number): void {
    const { input, width } = this.#graph.signature.hiddenStatesInput!;
    const size = numRows * width;
    if (lane.hiddenStates.length < sequences.length * size)
      lane.hiddenStates = new Float32Array(sequences.length * size);
    for (const [i, { plan }] of sequences.entries()) {
      if (plan) writeHiddenStates(plan, lane.hiddenStates, width, i * size);
      else lane.hiddenStates.fill(0, i * size, (i + 1) * size);
    }
    const shape = [sequences.length, numRows, width];
    if (this.#graph.hiddenStatesInputType === 'float32') {
      this.#bindInput(binding, input, lane.hiddenStates, 'float32', shape);
    } else {
      this.#bindInput(binding, input, new Float16Array(lane.hiddenStates), 'float16', shape);
    }
  }

  #bindInput(binding: IoBinding, name: string, memory: ArrayBufferView, type: ElementType, shape: number[]): void {
    if (binding.isHostBound(name, memory, shape)) return;
    const value = hostTensor(this.#api, this.hostInfo, memory, type, shape);
    binding.bindInput(name, value, memory);
    binding.rememberHostBound(name, memory, shape);
    this.#api.ReleaseValue(value);
  }

  /** Binds [count, rows, width] to a buffer of the pool; half precision arrives in its upper third and is widened. */
  #bindOutput(
    binding: IoBinding,
    name: string,
    type: FloatType,
    shape: readonly [number, number, number],
    taken: Float32Array[],
  ): ReadRows {
    const [count, numRows, width] = shape;
    const size = count * numRows * width;
    const buffer = this.#outputs.take(type === 'float16' ? Math.ceil(1.5 * size) : size);
    taken.push(buffer);
    const raw = type === 'float16' ? new Uint16Array(buffer.buffer, 4 * size, size) : buffer;
    if (!binding.isHostBound(name, raw, shape)) {
      const value = hostTensor(this.#api, this.hostInfo, raw, type, shape);
      binding.bindOutput(name, value, raw);
      binding.rememberHostBound(name, raw, shape);
      this.#api.ReleaseValue(value);
    }
    return (sequence, firstRow, numWanted) => {
      const from = (sequence * numRows + firstRow) * width;
      const rows = buffer.subarray(from, from + numWanted * width);
      if (raw instanceof Uint16Array) widenFloat16(raw.subarray(from, from + numWanted * width), rows);
      return rows;
    };
  }
}
