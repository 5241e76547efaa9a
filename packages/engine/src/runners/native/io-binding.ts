/**
 * Names bound to tensors for one line of runs. Keeps a reference to the memory behind every bound value, so that nothing
 * bound can be collected, and refuses to be touched during a run. Knows no models.
 */
import type { OrtApi, Pointer } from './ort-api.ts';
import type { OrtSession } from './session.ts';

export class IoBinding {
  readonly #api: OrtApi;
  readonly #session: OrtSession;
  readonly #pointer: Pointer;
  /** What the bound addresses belong to, by name. */
  readonly #inputs = new Map<string, unknown>();
  readonly #outputs = new Map<string, unknown>();
  readonly #hostTensors = new Map<string, { readonly memory: ArrayBufferView; readonly shape: readonly number[] }>();
  #running = false;
  #released = false;

  constructor(session: OrtSession) {
    this.#api = session.api;
    this.#session = session;
    this.#pointer = session.api.CreateIoBinding(session.pointer);
  }

  /** Binds for this and all later runs; the binding has its own reference to `value` (not to its memory: `keepAlive`). */
  bindInput(name: string, value: Pointer, keepAlive: unknown): void {
    this.#requireIdle();
    this.#api.BindInput(this.#pointer, name, value);
    this.#inputs.set(name, keepAlive);
  }

  bindOutput(name: string, value: Pointer, keepAlive: unknown): void {
    this.#requireIdle();
    this.#api.BindOutput(this.#pointer, name, value);
    this.#outputs.set(name, keepAlive);
  }

  isOutputBound(name: string): boolean {
    return this.#outputs.has(name);
  }

  /**
   * Whether the next run takes `memory` in this shape for `name` as it is. Never on a device: there binding copies.
   */
  isHostBound(name: string, memory: ArrayBufferView, shape: readonly number[]): boolean {
    const bound = this.#hostTensors.get(name);
    return bound?.memory === memory && bound.shape.every((size, axis) => size === shape[axis]);
  }

  /** Remembers what bindInput or bindOutput just bound, for isHostBound. */
  rememberHostBound(name: string, memory: ArrayBufferView, shape: readonly number[]): void {
    if (this.#session.provider.name === 'cpu') this.#hostTensors.set(name, { memory, shape });
  }

  /** Runs on libuv's pool. Everything bound belongs to ONNX Runtime until the promise settles. */
  async run(runOptions: Pointer): Promise<void> {
    this.#requireIdle();
    this.#synchronizeInputs();
    this.#running = true;
    try {
      await this.#api.async.RunWithBinding(this.#session.pointer, runOptions, this.#pointer);
    } finally {
      this.#running = false;
    }
  }

  /** The same on this thread. */
  runSync(runOptions: Pointer): void {
    this.#requireIdle();
    this.#synchronizeInputs();
    this.#api.RunWithBinding(this.#session.pointer, runOptions, this.#pointer);
  }

  release(): void {
    if (this.#released) return;
    this.#requireIdle();
    this.#released = true;
    this.#api.ReleaseIoBinding(this.#pointer);
    this.#inputs.clear();
    this.#outputs.clear();
    this.#hostTensors.clear();
  }

  /** Binding copies to a device on a stream of its own, for which the run does not wait by itself. */
  #synchronizeInputs(): void {
    if (this.#session.provider.name !== 'cpu') this.#api.SynchronizeBoundInputs(this.#pointer);
  }

  #requireIdle(): void {
    if (this.#running) throw new Error('a binding cannot be touched during a run');
    if (this.#released) throw new Error('the binding was released');
  }
}
