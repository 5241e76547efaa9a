import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeModel } from '@forerunner/onnx-graph';
import { afterAll, expect, it } from 'vitest';
import { checkSameFunction } from '../src/check/checks.ts';
import { externalFilesOf, openModelFolder } from '../src/model-folder.ts';
import { shardExternalData } from '../src/shard.ts';
import { checked, modelFolder } from './models.ts';

const root = mkdtempSync(join(tmpdir(), 'shards-'));
const MAX_BYTES = 100_000;
const HEAD_BYTES = { 'tiny-target': 64 * 1024 * 4, 'tiny-target-fp16': 64 * 1024 * 2 };

afterAll(() => rmSync(root, { recursive: true }));

it.each(['tiny-target', 'tiny-target-fp16'] as const)(
  'moves the weights of %s, outside or inside the graph, into files below the limit',
  async (name) => {
    const out = join(root, name);
    const files = shardExternalData(openModelFolder(modelFolder(name)), out, MAX_BYTES);
    const result = openModelFolder(out);
    expect(files.length).toBeGreaterThan(2);
    expect(externalFilesOf(decodeModel(result.graphBytes).graph)).toEqual(files);
    const sizes = files.map((file) => statSync(join(out, file)).size);
    expect(sizes.filter((size) => size > MAX_BYTES)).toEqual([HEAD_BYTES[name]]); // one tensor is larger by itself
    const comparison = await checkSameFunction({ ...checked(name, result.graphBytes), rewrittenFolder: out });
    expect(comparison).toMatchObject({ numRows: 30, maxDifference: 0 });
  },
);
