/** What every device must do, and how its tests ask for it: device-generation.ts in a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type { RunnerDescription } from '../../../src/index.ts';
import type { PassTransfers } from './transfers.ts';

const script = fileURLToPath(new URL('./device-generation.ts', import.meta.url));

export interface Generated {
  readonly cpu: Generation;
  readonly device: Generation;
  /** Of one pass over three sequences: the likeliest token after each row. */
  readonly batches: { readonly cpu: readonly number[][]; readonly device: readonly number[][] };
  readonly logged: readonly { readonly operators: readonly string[] }[];
  readonly passes: readonly PassTransfers[];
  readonly copies: readonly number[];
}

interface Generation {
  readonly tokens: readonly number[];
  readonly capacity: number;
  readonly description: RunnerDescription;
}

export async function generateOn(provider: string, model: string, env: NodeJS.ProcessEnv = {}): Promise<Generated> {
  const options = { env: { ...process.env, ...env }, timeout: 110_000 };
  const { stdout } = await promisify(execFile)(process.execPath, [script, provider, model], options);
  return JSON.parse(stdout) as Generated;
}

interface Expected {
  readonly kvMemory: RegExp;
  /** Of one logit. */
  readonly logitBytes: number;
}

/** The CPU's tokens through growth, rollback and fork, with the caches on the device and nothing moved that need not be. */
export function expectOnDevice(
  { cpu, device, batches, logged, passes, copies }: Generated,
  { kvMemory, logitBytes }: Expected,
): void {
  expect(device.tokens).toEqual(cpu.tokens);
  expect(new Set(cpu.tokens).size).toBeGreaterThan(10);
  expect(device.capacity).toBeGreaterThan(64);
  expect(batches.device).toEqual(batches.cpu);
  expect(batches.cpu.map((tokens) => tokens.length)).toEqual([1, 3, 5]);
  expect(cpu.description).toMatchObject({ executionProvider: 'cpu', kvMemory: 'Cpu', numFallbackNodes: 0 });
  expect(device.description.kvMemory).toMatch(kvMemory);
  // Lengths are inputs: nothing is left to the CPU.
  expect([device.description.numFallbackNodes, logged]).toEqual([0, []]);

  // Every cache tensor of every pass is in the device's memory.
  expect(passes.length).toBe(device.tokens.length);
  expect(new Set(passes.flatMap(({ kvPlaces }) => kvPlaces))).toEqual(new Set([device.description.kvMemory]));
  expect(Math.max(...passes.map(({ kvBytes }) => kvBytes))).toBeGreaterThanOrEqual(16_384 * logitBytes);
  // Two rows (one is padding) of ids and of the head, two lengths, and two rows of logits: the same at 9 tokens as at 80.
  const decodes = passes.slice(1, 72);
  expect(new Set(decodes.map(({ hostBytes }) => hostBytes))).toEqual(
    new Set([2 * 8 + 2 * 8 + 4 + 4 + 2 * 1024 * logitBytes]),
  );
  // Nor does a graph copy anything to the host or back, growing and forking included.
  expect(copies).toEqual([]);
}
