/**
 * What passes between host and device, counted twice: every tensor that the runner binds, by the place and size that
 * ONNX Runtime gives for it, and every copy inside the graph, from ONNX Runtime's own profile.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ortApi, type Pointer } from '../../../src/runners/native/ort-api.ts';

interface Bound {
  readonly name: string;
  readonly place: string;
  readonly bytes: number;
}

export interface PassTransfers {
  /** Bound tensors in host memory, the mask aside: all of them cross the bus once. */
  readonly hostBytes: number;
  readonly maskBytes: number;
  /** Where the caches are, each place once. */
  readonly kvPlaces: readonly string[];
  readonly kvBytes: number;
  /** The copies of what was bound have been waited for. */
  readonly isSynchronized: boolean;
}

/** Listens to the calls of this thread's API from now on; one entry a pass. `profilePrefix` starts the profile's path. */
export function watchTransfers(profilePrefix: string): PassTransfers[] {
  const api = ortApi() as { -readonly [N in keyof ReturnType<typeof ortApi>]: ReturnType<typeof ortApi>[N] };
  const bound = new Map<Pointer, Map<string, Bound>>();
  const synchronized = new Set<Pointer>();
  const passes: PassTransfers[] = [];
  for (const call of ['BindInput', 'BindOutput'] as const) {
    const original = api[call];
    api[call] = (binding, name, value) => {
      const place = api.MemoryInfoGetName(api.GetTensorMemoryInfo(value as Pointer));
      const bytes = api.GetTensorSizeInBytes(value as Pointer);
      const tensors = bound.get(binding as Pointer) ?? new Map<string, Bound>();
      bound.set(binding as Pointer, tensors.set(`${call} ${name}`, { name, place, bytes }));
      synchronized.delete(binding as Pointer);
      return original(binding, name, value);
    };
  }
  const { SynchronizeBoundInputs } = api;
  api.SynchronizeBoundInputs = (binding) => {
    synchronized.add(binding as Pointer);
    return SynchronizeBoundInputs(binding);
  };
  const { ReleaseIoBinding, SetSessionGraphOptimizationLevel } = api;
  api.ReleaseIoBinding = (binding) => {
    bound.delete(binding as Pointer); // its address may be another binding's next
    return ReleaseIoBinding(binding);
  };
  api.SetSessionGraphOptimizationLevel = (options, level) => {
    api.EnableProfiling(options, profilePrefix);
    return SetSessionGraphOptimizationLevel(options, level);
  };
  const { RunWithBinding } = api.async;
  api.async = {
    ...api.async,
    RunWithBinding(session, runOptions, binding) {
      const isSynchronized = synchronized.has(binding as Pointer);
      passes.push({ ...summary([...bound.get(binding as Pointer)!.values()]), isSynchronized });
      return RunWithBinding(session, runOptions, binding);
    },
  };
  return passes;
}

function summary(tensors: readonly Bound[]): Omit<PassTransfers, 'isSynchronized'> {
  const sum = (some: readonly Bound[]) => some.reduce((bytes, tensor) => bytes + tensor.bytes, 0);
  const isCache = ({ name }: Bound) => /^(past_key_values|present)\./.test(name);
  const onHost = tensors.filter(({ place }) => place === 'Cpu');
  return {
    hostBytes: sum(onHost.filter(({ name }) => name !== 'attention_mask')),
    maskBytes: sum(onHost.filter(({ name }) => name === 'attention_mask')),
    kvPlaces: [...new Set(tensors.filter(isCache).map(({ place }) => place))],
    kvBytes: sum(tensors.filter(isCache)),
  };
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly args?: { readonly op_name?: string; readonly output_size?: string };
}

/** Bytes of every copy between host and device within the graphs, in order, once their sessions are closed. */
export function copiesInGraph(profilePrefix: string): number[] {
  const folder = dirname(profilePrefix);
  return readdirSync(folder)
    .filter((name) => name.startsWith(basename(profilePrefix)))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as ProfileEvent[])
    .filter(({ cat, args }) => cat === 'Node' && args?.op_name?.startsWith('Memcpy'))
    .map(({ args }) => Number(args!.output_size));
}
