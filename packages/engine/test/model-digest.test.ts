import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { modelDigest } from '../src/host.ts';

const original = fileURLToPath(new URL('../../../models/tiny-target', import.meta.url));
let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), 'forerunner-'));
  cpSync(original, copy, { recursive: true });
});
afterEach(() => rmSync(copy, { recursive: true }));

it('is the same for the same model anywhere', () => {
  expect(modelDigest(copy)).toBe(modelDigest(original));
  expect(modelDigest(copy)).toMatch(/^[0-9a-f]{64}$/);
});

it.each(['model.onnx', 'config.json', 'model.onnx.data'])('changes with %s', (name) => {
  appendFileSync(join(copy, name), ' ');
  expect(modelDigest(copy)).not.toBe(modelDigest(original));
});

it('does not change with what is no part of the model', () => {
  writeFileSync(join(copy, 'README.md'), 'hello');
  writeFileSync(join(copy, '.DS_Store'), 'x');
  expect(modelDigest(copy)).toBe(modelDigest(original));
});

it('names the folder that is missing', () => {
  expect(() => modelDigest(join(copy, 'nowhere'))).toThrow(/no model folder at .*nowhere/);
});
