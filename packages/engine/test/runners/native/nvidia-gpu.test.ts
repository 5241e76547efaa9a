/** What nvidia-smi is asked, and what is made of its answers. */
import { expect, test } from 'vitest';
import { readNvidiaGpu } from '../../../src/runners/native/nvidia-gpu.ts';
import { withNvidiaSmi } from './nvidia-smi.ts';

/** A stand-in that answers with the GPU that it was asked for as a name. */
const ECHO = 'IFS="="; set -- $1; echo "$2, 8.9, 590.44, 24564, 24000"';

test('the GPU is the one that CUDA would take: by number, or within CUDA_VISIBLE_DEVICES', () => {
  withNvidiaSmi(ECHO, () => {
    const nameOf = (deviceId: number, visible?: string) =>
      readNvidiaGpu(deviceId, { ...process.env, ...(visible !== undefined && { CUDA_VISIBLE_DEVICES: visible }) });
    expect(nameOf(2)).toEqual({
      deviceId: 2,
      name: '2',
      computeCapability: '8.9',
      driverVersion: '590.44',
      totalMiB: 24_564,
      freeMiB: 24_000,
    });
    expect(nameOf(1, '3, GPU-5e6a')).toMatchObject({ deviceId: 1, name: 'GPU-5e6a' });
    expect(nameOf(0, '')).toMatchObject({ name: '0' });
  });
});

test.each([
  ['no nvidia-smi', null, /cannot be run: .*ENOENT/],
  [
    'a driver that does not answer',
    'echo "NVIDIA-SMI has failed: no driver"; exit 9',
    /ended with 9: NVIDIA-SMI has fa/,
  ],
  ['a GPU that keeps its memory to itself', 'echo "Orin, 8.7, 540.4.0, [N/A], [N/A]"', /answered "Orin, .*, not name/],
])('%s is a reason, no failure', (_, script, reason) => {
  withNvidiaSmi(script, () => expect(readNvidiaGpu(0)).toEqual({ whyNot: expect.stringMatching(reason) }));
});
