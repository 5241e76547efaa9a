/**
 * CUDA, where there is an NVIDIA GPU and the provider lies beside ONNX Runtime's library (docs/deploy-gpu.md). Elsewhere,
 * as in CI, nothing here can run, and execution-provider.test.ts checks what is said about that.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'vitest';
import { loadOrtLibrary } from '../../../src/runners/native/ort-library.ts';
import { expectOnDevice, generateOn } from './on-device.ts';

const provider = join(dirname(loadOrtLibrary().path), 'libonnxruntime_providers_cuda.so');
const missing = [provider, '/dev/nvidia0'].filter((path) => !existsSync(path));

describe('CUDA', () => {
  test.skipIf(missing.length > 0)(
    `gives the tokens of the CPU, with K and V on the device${missing.map((path) => ` (no ${basename(path)})`).join('')}`,
    { timeout: 120_000 },
    async () => {
      const generated = await generateOn('cuda', 'tiny-target-fp16');
      expectOnDevice(generated, { kvMemory: /^Cuda$/, logitBytes: 2 });
    },
  );
});
