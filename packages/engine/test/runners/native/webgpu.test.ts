/**
 * WebGPU over SwiftShader, Vulkan in software: Debian's package chromium has it. In a process of its own, because the
 * Vulkan loader reads its environment once.
 */
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { expectOnDevice, generateOn } from './on-device.ts';

const swiftShader = process.env.FORERUNNER_SWIFTSHADER ?? '/usr/lib/chromium';
const icd = `${swiftShader}/vk_swiftshader_icd.json`;

describe('WebGPU', () => {
  test.skipIf(!existsSync(icd))(
    `gives the tokens of the CPU, through growth, rollback and fork, with K and V on the device${existsSync(icd) ? '' : ` (no ${icd})`}`,
    { timeout: 120_000 },
    async () => {
      const generated = await generateOn('webgpu', 'tiny-target', {
        VK_ICD_FILENAMES: icd,
        LD_LIBRARY_PATH: swiftShader,
      });
      expectOnDevice(generated, { kvMemory: /^WebGPU/, logitBytes: 4 });
    },
  );

  test('says what is missing where there is no device', async () => {
    const nothing = { VK_ICD_FILENAMES: '/nowhere.json', LD_LIBRARY_PATH: '' };
    const failure = await generateOn('webgpu', 'tiny-target', nothing).catch((error: Error) => error);
    expect(String(failure)).toMatch(/execution provider webgpu is not available: no WebGPU adapter/);
  });
});
