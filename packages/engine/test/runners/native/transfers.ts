/**
 * What passes between host and device, counted twice: every tensor that the runner hands over, by the place and size that
 * ONNX Runtime gives for it, and every copy inside the graph, from ONNX Runtime's own profile.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import koffi from 'koffi';
import { ortApi } from '../../../src/runners/native/ort-api.ts';

interface Bound {
  readonly name: string;
  readonly place: string;
  readonly bytes: number;
}

export interface PassTransfers {
  /** Tensors in host memory: all of them cross the bus once. */
  readonly hostBytes: number;
  /** Where the caches are, each place once. */
  readonly kvPlaces: readonly string[];
  readonly kvBytes: number;
}

/** Listens to the runs of this thread's API from now on; one entry a pass. `profilePrefix` starts the profile's path. */
export function watchTransfers(profilePrefix: string): PassTransfers[] {
  const api = ortApi() as { -readonly [N in keyof ReturnType<typeof ortApi>]: ReturnType<typeof ortApi>[N] };
  const passes: PassTransfers[] = [];
  const { SetSessionGraphOptimizationLevel } = api;
  api.SetSessionGraphOptimizationLevel = (options, level) => {
    api.EnableProfiling(options, profilePrefix);
    return SetSessionGraphOptimizationLevel(options, level);
  };
  const { Run } = api.async;
  api.async = {
    ...api.async,
    Run(...given) {
      const [, , inputNames, inputs, numInputs, outputNames, numOutputs, outputs] = given;
      const tensors = [...tensorsOf(inputNames, inputs, numInputs), ...tensorsOf(outputNames, outputs, numOutputs)];
      passes.push(summary(tensors));
      return Run(...given);
    },
  };
  return passes;

  function tensorsOf(names: unknown, values: unknown, count: number): Bound[] {
    return Array.from({ length: count }, (_, i) => {
      const value = (values as BigUint64Array)[i]!;
      return {
        name: koffi.decode((names as BigUint64Array)[i], 'char', -1) as string,
        place: api.MemoryInfoGetName(api.GetTensorMemoryInfo(value)),
        bytes: api.GetTensorSizeInBytes(value),
      };
    });
  }
}

function summary(tensors: readonly Bound[]): PassTransfers {
  const sum = (some: readonly Bound[]) => some.reduce((bytes, tensor) => bytes + tensor.bytes, 0);
  const isCache = ({ name }: Bound) => /(^|\.)(past_key_values|present)\./.test(name);
  return {
    hostBytes: sum(tensors.filter(({ place }) => place === 'Cpu')),
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
