/**
 * What one graph reads and writes in a run: names once, values by name, as the arrays of pointers that ONNX Runtime's Run
 * takes. Setting a value writes one address, so that the caches of any sequences can be put in place for every pass.
 * Knows no models. Values and the memory behind them belong to whoever set them and must outlive the run.
 */
import type { OrtApi, Pointer } from './ort-api.ts';
import type { OrtSession } from './session.ts';
import { addressOf } from './tensor.ts';

/** Names or values as C sees them: an array of addresses, and what must stay referenced behind them. */
interface Side {
  readonly index: ReadonlyMap<string, number>;
  readonly names: BigUint64Array;
  readonly values: BigUint64Array;
  /** The names' characters. */
  readonly text: Uint8Array;
}

export class RunArguments {
  readonly #api: OrtApi;
  readonly #session: OrtSession;
  readonly #inputs: Side;
  readonly #outputs: Side;
  /** Outputs from here on are asked for only when they are set. */
  readonly #numRequiredOutputs: number;
  #running = false;

  /** `optionalOutputs` are written only by runs for which they are set. */
  constructor(
    session: OrtSession,
    inputs: readonly string[],
    outputs: readonly string[],
    optionalOutputs: readonly string[] = [],
  ) {
    this.#api = session.api;
    this.#session = session;
    this.#inputs = sideOf(inputs);
    this.#outputs = sideOf([...outputs, ...optionalOutputs]);
    this.#numRequiredOutputs = outputs.length;
  }

  /** For this and all later runs. */
  setInput(name: string, value: Pointer): void {
    this.#set(this.#inputs, name, value);
  }

  /** A tensor that the run fills; 0n takes an optional output out again. */
  setOutput(name: string, value: Pointer): void {
    this.#set(this.#outputs, name, value);
  }

  /** Where inputs `names` and outputs of the same number stand, for setting many at once. */
  placesOf(inputNames: readonly string[], outputNames: readonly string[]): CachePlaces {
    const at = (side: Side, name: string) => indexIn(side, name);
    return {
      inputs: Int32Array.from(inputNames, (name) => at(this.#inputs, name)),
      outputs: Int32Array.from(outputNames, (name) => at(this.#outputs, name)),
    };
  }

  setAt(places: CachePlaces, inputs: readonly Pointer[], outputs: readonly Pointer[]): void {
    this.#requireIdle();
    for (let i = 0; i < inputs.length; i++) {
      this.#inputs.values[places.inputs[i]!] = inputs[i]!;
      this.#outputs.values[places.outputs[i]!] = outputs[i]!;
    }
  }

  /** Runs on libuv's pool. Everything set belongs to ONNX Runtime until the promise settles. */
  async run(runOptions: Pointer): Promise<void> {
    this.#requireIdle();
    this.#running = true;
    try {
      await this.#api.async.Run(...this.#callArguments(runOptions));
    } finally {
      this.#running = false;
    }
  }

  /** The same on this thread. */
  runSync(runOptions: Pointer): void {
    this.#requireIdle();
    this.#api.Run(...this.#callArguments(runOptions));
  }

  #callArguments(runOptions: Pointer): Parameters<OrtApi['Run']> {
    const { names, values } = this.#outputs;
    let numOutputs = this.#numRequiredOutputs;
    while (numOutputs < values.length && values[numOutputs] !== 0n) numOutputs++;
    const inputs = this.#inputs;
    return [
      this.#session.pointer,
      runOptions,
      inputs.names,
      inputs.values,
      inputs.values.length,
      names,
      numOutputs,
      values,
    ];
  }

  #set(side: Side, name: string, value: Pointer): void {
    this.#requireIdle();
    side.values[indexIn(side, name)] = value;
  }

  #requireIdle(): void {
    if (this.#running) throw new Error('arguments cannot be touched during a run');
  }
}

/** See placesOf. */
export interface CachePlaces {
  readonly inputs: Int32Array;
  readonly outputs: Int32Array;
}

function sideOf(names: readonly string[]): Side {
  const text = new TextEncoder().encode(names.map((name) => `${name}\0`).join(''));
  const start = addressOf(text);
  const addresses = new BigUint64Array(names.length);
  let offset = 0;
  names.forEach((name, i) => {
    addresses[i] = start + BigInt(offset);
    offset += Buffer.byteLength(name) + 1;
  });
  const index = new Map(names.map((name, i) => [name, i]));
  return { index, names: addresses, values: new BigUint64Array(names.length), text };
}

function indexIn(side: Side, name: string): number {
  const index = side.index.get(name);
  if (index === undefined) throw new TypeError(`the graph has no ${name}`);
  return index;
}
