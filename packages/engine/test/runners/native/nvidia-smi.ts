/** Stand-ins for what an NVIDIA host has: nvidia-smi on the PATH, the provider's files beside a library. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'forerunner-nvidia-'));
afterAll(() => rmSync(root, { recursive: true }));

/** Runs `use` with a PATH on which nvidia-smi is this shell script; null: on which there is none. */
export function withNvidiaSmi<T>(script: string | null, use: () => T): T {
  const folder = mkdtempSync(join(root, 'bin-'));
  if (script !== null) writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = folder;
  try {
    return use();
  } finally {
    process.env.PATH = path;
  }
}

/** Where a library would be that has the files of the CUDA provider beside it; they are empty. */
export function cudaFolder(): string {
  const folder = mkdtempSync(join(root, 'cuda-'));
  for (const part of ['shared', 'cuda']) writeFileSync(join(folder, `libonnxruntime_providers_${part}.so`), '');
  return join(folder, 'libonnxruntime.so.1');
}
