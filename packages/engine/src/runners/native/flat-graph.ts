/**
 * A graph for several sequences a pass (see flat-batch.ts of the graph rewrites): lays all new tokens out in one row
 * dimension, and points each slot at one sequence's cache. A slot that nobody needs attends to one row over a scratch
 * cache, and its result is dropped.
 */
import { FLAT_BATCH } from '@forerunner/onnx-graph';
import type { ForwardOutput } from '../../runner.ts';
import type { FloatType } from '../../signature.ts';
import { canonicalRows, type PassPlan, writeHiddenStates, writeTokenIds } from '../pass-plan.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import { InputTensor } from './input-tensor.ts';
import type { KvBlock, KvMemory } from './kv-memory.ts';
import type { Pointer } from './ort-api.ts';
import { type OutputBuffers, OutputRows } from './output-rows.ts';
import type { PassGraph, PassItem, PreparedPass } from './pass-graph.ts';
import { type CachePlaces, RunArguments } from './run-arguments.ts';
import type { OrtSession } from './session.ts';

export interface FlatGraphOptions {
  readonly session: OrtSession;
  /** Of the original graph: what its inputs and outputs are called. */
  readonly graph: GraphBinding;
  readonly numSlots: number;
  readonly minRows: number;
  readonly memory: KvMemory;
  readonly hostInfo: Pointer;
  readonly buffers: OutputBuffers;
}

/** The inputs of one slot. */
interface Slot {
  readonly rows: InputTensor<'int64'>; // [t]
  readonly rowsName: string;
  readonly seqlensK: InputTensor<'int32'>; // [1]
  readonly totalLength: InputTensor<'int32'>; // scalar
  readonly places: CachePlaces;
}

const SCRATCH_POSITIONS = 2;

export class FlatGraph implements PassGraph {
  readonly numSlots: number;
  readonly #options: FlatGraphOptions;
  readonly #run: RunArguments;
  readonly #tokenIds: InputTensor<'int64'>; // [1, rows]
  readonly #positions: InputTensor<'int64'>; // [1, rows]
  readonly #hiddenStates: InputTensor<FloatType>; // [1, rows, width]
  readonly #logitRows: InputTensor<'int64'>; // [n]
  readonly #attentionRows: InputTensor<'int64'>; // [rows]
  readonly #slots: readonly Slot[];
  readonly #logits: OutputRows;
  readonly #hiddenStatesOut: OutputRows | undefined;
  #scratch: KvBlock | undefined;

  constructor(options: FlatGraphOptions) {
    const { session, graph, numSlots, hostInfo, buffers } = options;
    const { api } = session;
    const { signature } = graph;
    this.numSlots = numSlots;
    this.#options = options;
    const int64 = () => new InputTensor(api, hostInfo, 'int64');
    this.#tokenIds = int64();
    this.#positions = int64();
    this.#hiddenStates = new InputTensor(api, hostInfo, graph.hiddenStatesInputType);
    this.#logitRows = int64();
    this.#attentionRows = int64();
    const hidden = signature.hiddenStatesOutput;
    const { inputs, outputs } = session.graphInfo();
    this.#run = new RunArguments(
      session,
      inputs.map(({ name }) => name),
      outputs.map(({ name }) => name).filter((name) => name !== hidden?.output),
      hidden ? [hidden.output] : [],
    );
    this.#slots = Array.from({ length: numSlots }, (_, index) => this.#slotOf(index));
    this.#logits = new OutputRows(api, hostInfo, signature.logitsType, signature.headSize, buffers);
    this.#hiddenStatesOut =
      hidden && new OutputRows(api, hostInfo, graph.hiddenStatesOutputType, hidden.width, buffers);
  }

  prepare(items: readonly PassItem[], taken: Float32Array[]): PreparedPass {
    const { minRows } = this.#options;
    const plans = items.map(({ plan }) => plan);
    const firstRows = startsOf(plans, (plan) => this.#rowsOf(plan));
    const numNewRows = firstRows.at(-1)!;
    const numRows = canonicalRows(Math.max(numNewRows, minRows), minRows);
    this.#setRows(plans, firstRows, numRows);
    for (const [index, slot] of this.#slots.entries()) {
      const item = items[index];
      if (item) this.#fill(slot, item, firstRows[index]!);
      else this.#leaveIdle(slot);
    }
    if (this.numSlots > 1) this.#setAttentionRows(plans, firstRows, numRows);
    const firstHeadRows = startsOf(plans, (plan) => plan.item.numLogitRows);
    const logits = this.#logits.take(this.#setLogitRows(plans, firstRows, firstHeadRows.at(-1)!), taken);
    this.#run.setOutput('logits', logits.value);
    const wantsHidden = plans.some((plan) => plan.item.wantHiddenStates);
    const hidden = wantsHidden ? this.#hiddenStatesOut?.take(numRows, taken) : undefined;
    const { hiddenStatesOutput } = this.#options.graph.signature;
    if (hiddenStatesOutput) this.#run.setOutput(hiddenStatesOutput.output, hidden?.value ?? 0n);
    const read = () =>
      plans.map(
        ({ item, numTokens }, i): ForwardOutput => ({
          logits: logits.read(firstHeadRows[i]!, item.numLogitRows),
          ...(hidden && item.wantHiddenStates && { hiddenStates: hidden.read(firstRows[i]!, numTokens) }),
        }),
      );
    return { run: this.#run, numRows, read };
  }

  close(): void {
    if (this.#scratch) this.#options.memory.drop(this.#scratch);
    for (const { rows, seqlensK, totalLength } of this.#slots) {
      for (const tensor of [rows, seqlensK, totalLength]) tensor.release();
    }
    for (const tensor of [this.#tokenIds, this.#positions, this.#hiddenStates, this.#logitRows, this.#attentionRows]) {
      tensor.release();
    }
    this.#logits.release();
    this.#hiddenStatesOut?.release();
  }

  /** The only slot takes the rows as they are, pads included; of several each gathers its own. */
  #rowsOf(plan: PassPlan): number {
    return this.numSlots === 1 ? plan.numRows : plan.numTokens;
  }

  #slotOf(index: number): Slot {
    const { session, hostInfo, graph } = this.#options;
    const names = FLAT_BATCH.slot(index);
    const tensor = <T extends 'int64' | 'int32'>(type: T) => new InputTensor(session.api, hostInfo, type);
    const [rows, seqlensK, totalLength] = [tensor('int64'), tensor('int32'), tensor('int32')];
    seqlensK.memory(1);
    this.#run.setInput(names.seqlensK, seqlensK.value([1]));
    this.#run.setInput(names.totalLength, totalLength.value([]));
    const places = this.#run.placesOf(
      graph.pastInputs.map((name) => names.cache(name)),
      graph.presentOutputs.map((name) => names.cache(name)),
    );
    return { rows, rowsName: names.rows, seqlensK, totalLength, places };
  }

  /** Token ids, positions and hidden states of all sequences; rows beyond theirs repeat the last one. */
  #setRows(plans: readonly PassPlan[], firstRows: readonly number[], numRows: number): void {
    const { signature } = this.#options.graph;
    const tokenIds = this.#tokenIds.memory(numRows);
    const positions = signature.hasPositionIds ? this.#positions.memory(numRows) : undefined;
    const width = signature.hiddenStatesInput?.width ?? 0;
    const hidden = this.#hiddenStates.memory(numRows * width);
    for (const [i, plan] of plans.entries()) {
      const first = firstRows[i]!;
      const end = i + 1 < plans.length ? firstRows[i + 1]! : numRows;
      writeTokenIds(plan, tokenIds, first, end - first);
      if (width > 0) writeHiddenStates(plan, hidden, width, first, end - first);
      for (let row = first; positions && row < end; row++) {
        positions[row] = BigInt(plan.item.numPastTokens + row - first);
      }
    }
    this.#run.setInput('input_ids', this.#tokenIds.value([1, numRows]));
    if (positions) this.#run.setInput('position_ids', this.#positions.value([1, numRows]));
    if (signature.hiddenStatesInput) {
      this.#run.setInput(signature.hiddenStatesInput.input, this.#hiddenStates.value([1, numRows, width]));
    }
  }

  /** One sequence in a slot: its cache, its lengths, its rows (the last one again where the plan has pads). */
  #fill(slot: Slot, { plan, cache }: PassItem, firstRow: number): void {
    const { numPastTokens } = plan.item;
    const { past, present } = cache.tensors(numPastTokens, plan.numRows);
    this.#run.setAt(slot.places, past, present);
    slot.seqlensK.memory(1)[0] = numPastTokens + plan.numRows - 1;
    slot.totalLength.memory(1)[0] = numPastTokens + plan.numRows;
    if (this.numSlots === 1) return;
    const rows = slot.rows.memory(plan.numRows);
    for (let row = 0; row < plan.numRows; row++) rows[row] = BigInt(firstRow + Math.min(row, plan.numTokens - 1));
    this.#run.setInput(slot.rowsName, slot.rows.value([plan.numRows]));
  }

  #leaveIdle(slot: Slot): void {
    this.#scratch ??= this.#options.memory.allocate(SCRATCH_POSITIONS);
    this.#run.setAt(slot.places, this.#scratch.values, this.#scratch.values);
    slot.seqlensK.memory(1)[0] = 0;
    slot.totalLength.memory(1)[0] = 1;
    slot.rows.memory(1)[0] = 0n;
    this.#run.setInput(slot.rowsName, slot.rows.value([1]));
  }

  /** Where in the slots' concatenated rows, pads among them, each row's attention stands. */
  #setAttentionRows(plans: readonly PassPlan[], firstRows: readonly number[], numRows: number): void {
    const attentionRows = this.#attentionRows.memory(numRows);
    let slotStart = 0;
    for (const [i, plan] of plans.entries()) {
      for (let row = 0; row < plan.numTokens; row++) attentionRows[firstRows[i]! + row] = BigInt(slotStart + row);
      slotStart += plan.numRows;
    }
    attentionRows.fill(0n, firstRows.at(-1)!, numRows);
    this.#run.setInput(FLAT_BATCH.attentionRows, this.#attentionRows.value([numRows]));
  }

  /** Names the rows that the head computes, at least minRows of them like everywhere else; gives their number. */
  #setLogitRows(plans: readonly PassPlan[], firstRows: readonly number[], numWanted: number): number {
    const { minRows } = this.#options;
    const numHeadRows = canonicalRows(Math.max(numWanted, minRows), minRows);
    const logitRows = this.#logitRows.memory(numHeadRows);
    let next = 0;
    for (const [i, { item, numTokens }] of plans.entries()) {
      for (let row = numTokens - item.numLogitRows; row < numTokens; row++)
        logitRows[next++] = BigInt(firstRows[i]! + row);
    }
    logitRows.fill(0n, next, numHeadRows);
    this.#run.setInput(FLAT_BATCH.logitRows, this.#logitRows.value([numHeadRows]));
    return numHeadRows;
  }
}

/** Where each plan's share begins, and at the end where the last one's ends. */
function startsOf(plans: readonly PassPlan[], sizeOf: (plan: PassPlan) => number): number[] {
  const starts = [0];
  for (const plan of plans) starts.push(starts.at(-1)! + sizeOf(plan));
  return starts;
}
