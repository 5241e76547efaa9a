/**
 * A graph as its file has it, one sequence a pass: for attention that is spelled out, and for whatever cannot be rewritten
 * for several sequences.
 */

import type { FloatType } from '../../signature.ts';
import { type PassPlan, writeHiddenStates, writeTokenIds } from '../pass-plan.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import { InputTensor } from './input-tensor.ts';
import type { Pointer } from './ort-api.ts';
import { type OutputBuffers, OutputRows } from './output-rows.ts';
import type { PassGraph, PassItem, PreparedPass } from './pass-graph.ts';
import { type CachePlaces, RunArguments } from './run-arguments.ts';
import type { OrtSession } from './session.ts';

export class SingleGraph implements PassGraph {
  readonly numSlots = 1;
  readonly #graph: GraphBinding;
  readonly #run: RunArguments;
  readonly #places: CachePlaces;
  readonly #tokenIds: InputTensor<'int64'>; // [1, rows]
  readonly #positions: InputTensor<'int64'>; // [1, rows]
  /** All positions up to the last new one count. */
  readonly #mask: InputTensor<'int64'>; // [1, past + rows]
  readonly #numHeadRows: InputTensor<'int64'>; // scalar
  readonly #hiddenStates: InputTensor<FloatType>; // [1, rows, width]
  readonly #logits: OutputRows;
  readonly #hiddenStatesOut: OutputRows | undefined;

  constructor(session: OrtSession, graph: GraphBinding, hostInfo: Pointer, buffers: OutputBuffers) {
    const { api } = session;
    const { signature } = graph;
    this.#graph = graph;
    const int64 = () => new InputTensor(api, hostInfo, 'int64');
    this.#tokenIds = int64();
    this.#positions = int64();
    this.#mask = int64();
    this.#mask.memory(signature.contextLength).fill(1n);
    this.#numHeadRows = int64();
    this.#hiddenStates = new InputTensor(api, hostInfo, graph.hiddenStatesInputType);
    const hidden = signature.hiddenStatesOutput;
    this.#run = new RunArguments(
      session,
      session.graphInfo().inputs.map(({ name }) => name),
      ['logits', ...graph.presentOutputs],
      hidden ? [hidden.output] : [],
    );
    this.#places = this.#run.placesOf(graph.pastInputs, graph.presentOutputs);
    this.#logits = new OutputRows(api, hostInfo, signature.logitsType, signature.headSize, buffers);
    this.#hiddenStatesOut =
      hidden && new OutputRows(api, hostInfo, graph.hiddenStatesOutputType, hidden.width, buffers);
  }

  prepare([item]: readonly [PassItem], taken: Float32Array[]): PreparedPass {
    const { plan, cache } = item;
    const { numRows, numHeadRows, firstLogitRow, numTokens } = plan;
    const { numPastTokens, numLogitRows, wantHiddenStates } = plan.item;
    const { past, present } = cache.tensors(numPastTokens, numRows);
    this.#run.setAt(this.#places, past, present);
    this.#setRows(plan);
    const { signature } = this.#graph;
    const logits = this.#logits.take(signature.numLogitsToKeepInput ? numHeadRows : numRows, taken);
    this.#run.setOutput('logits', logits.value);
    const hidden = wantHiddenStates ? this.#hiddenStatesOut?.take(numRows, taken) : undefined;
    if (signature.hiddenStatesOutput) this.#run.setOutput(signature.hiddenStatesOutput.output, hidden?.value ?? 0n);
    const read = () => [
      {
        logits: logits.read(firstLogitRow, numLogitRows),
        ...(hidden && { hiddenStates: hidden.read(0, numTokens) }),
      },
    ];
    return { run: this.#run, numRows, read };
  }

  close(): void {
    const inputs = [this.#tokenIds, this.#positions, this.#mask, this.#numHeadRows, this.#hiddenStates];
    for (const tensor of inputs) tensor.release();
    this.#logits.release();
    this.#hiddenStatesOut?.release();
  }

  #setRows(plan: PassPlan): void {
    const { signature } = this.#graph;
    const { numRows, numHeadRows } = plan;
    const { numPastTokens } = plan.item;
    const run = this.#run;
    writeTokenIds(plan, this.#tokenIds.memory(numRows));
    run.setInput('input_ids', this.#tokenIds.value([1, numRows]));
    if (signature.hasAttentionMask) run.setInput('attention_mask', this.#mask.value([1, numPastTokens + numRows]));
    if (signature.hasPositionIds) {
      const positions = this.#positions.memory(numRows);
      for (let row = 0; row < numRows; row++) positions[row] = BigInt(numPastTokens + row);
      run.setInput('position_ids', this.#positions.value([1, numRows]));
    }
    if (signature.numLogitsToKeepInput) {
      this.#numHeadRows.memory(1)[0] = BigInt(numHeadRows);
      run.setInput(signature.numLogitsToKeepInput, this.#numHeadRows.value([]));
    }
    if (signature.hiddenStatesInput) {
      const { input, width } = signature.hiddenStatesInput;
      writeHiddenStates(plan, this.#hiddenStates.memory(numRows * width), width);
      run.setInput(input, this.#hiddenStates.value([1, numRows, width]));
    }
  }
}
