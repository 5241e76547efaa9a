/**
 * WebGPU over SwiftShader, Vulkan in software: Debian's package chromium has it. In a process of its own, because the
 * Vulkan loader reads its environment once.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { RunnerDescription } from '../../../src/index.ts';
import type { PassTransfers } from './transfers.ts';

const swiftShader = process.env.FORERUNNER_SWIFTSHADER ?? '/usr/lib/chromium';
const icd = `${swiftShader}/vk_swiftshader_icd.json`;
const script = fileURLToPath(new URL('./webgpu-generation.ts', import.meta.url));

interface Generated {
  readonly cpu: Generation;
  readonly webgpu: Generation;
  readonly logged: { readonly operators: string[] }[];
  readonly passes: PassTransfers[];
  readonly copies: number[];
}

interface Generation {
  readonly tokens: number[];
  readonly capacity: number;
  readonly description: RunnerDescription;
}

async function generate(model: string, env: NodeJS.ProcessEnv) {
  const options = { env: { ...process.env, ...env }, timeout: 110_000 };
  return promisify(execFile)(process.execPath, [script, model], options);
}

describe('WebGPU', () => {
  test.skipIf(!existsSync(icd))(
    'gives the tokens of the CPU, through growth, rollback and fork, with K and V on the device',
    { timeout: 120_000 },
    async () => {
      const { stdout } = await generate('tiny-target', { VK_ICD_FILENAMES: icd, LD_LIBRARY_PATH: swiftShader });
      const { cpu, webgpu, logged, passes, copies } = JSON.parse(stdout) as Generated;
      expect(webgpu.tokens).toEqual(cpu.tokens);
      expect(new Set(cpu.tokens).size).toBeGreaterThan(10);
      expect(webgpu.capacity).toBeGreaterThan(64);
      expect(cpu.description).toMatchObject({ executionProvider: 'cpu', kvMemory: 'Cpu', numFallbackNodes: 0 });
      expect(webgpu.description).toMatchObject({
        executionProvider: 'webgpu',
        kvMemory: expect.stringMatching(/^WebGPU/),
      });
      // What is left to the CPU counts the mask; nothing of it reads or writes a cache.
      expect(logged[0]!.operators).not.toContain('GroupQueryAttention');
      expect(webgpu.description.numFallbackNodes).toBeLessThan(10);

      // Every cache tensor of every pass is in the device's memory.
      expect(passes.length).toBe(webgpu.tokens.length);
      expect(new Set(passes.flatMap(({ kvPlaces }) => kvPlaces))).toEqual(new Set([webgpu.description.kvMemory]));
      expect(Math.max(...passes.map(({ kvBytes }) => kvBytes))).toBeGreaterThanOrEqual(131_072);
      // Two rows (one is padding) of ids, a scalar and two rows of logits; the same at 9 tokens as at 80, but for the mask.
      const steps = passes.slice(1, 72);
      expect(new Set(steps.map(({ hostBytes }) => hostBytes))).toEqual(new Set([2 * 8 + 8 + 2 * 1024 * 4]));
      expect(steps.map(({ maskBytes }) => maskBytes)).toEqual(steps.map((_, i) => 8 * (9 + i + 2)));
      // Within the graph: the mask's length, once a pass. Growing and forking copy nothing to the host either.
      expect(copies).toEqual(passes.map(() => 4));
    },
  );

  test('says what is missing where there is no device', async () => {
    const nothing = { VK_ICD_FILENAMES: '/nowhere.json', LD_LIBRARY_PATH: '' };
    const failure = await generate('tiny-target', nothing).catch((error: Error) => error);
    expect(String(failure)).toMatch(/execution provider webgpu is not available: no WebGPU adapter/);
  });
});
