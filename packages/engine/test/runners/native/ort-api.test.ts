/** The slot table against the header. ort-api-members.txt lists OrtApi's members in order (ONNX Runtime 1.30, API 30). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { EngineError } from '../../../src/index.ts';
import { OrtError, ortApi, ortFunctions } from '../../../src/runners/native/ort-api.ts';
import { loadOrtLibrary } from '../../../src/runners/native/ort-library.ts';
import { openEnv } from '../../../src/runners/native/session.ts';
import { THREADING_OPTIONS } from '../../../src/runners/threading.ts';

const members = readFileSync(new URL('./ort-api-members.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n');

describe('the API table', () => {
  test.each(Object.entries(ortFunctions))('%s has the slot that the header gives it', (name, { slot }) => {
    expect(members[slot]).toBe(name);
  });

  test('turns a status into a typed error', () => {
    const api = ortApi();
    const options = api.CreateSessionOptions();
    try {
      api.SetSessionGraphOptimizationLevel(options, 77);
      expect.unreachable('there is no level 77');
    } catch (error) {
      expect(error).toBeInstanceOf(OrtError);
      expect((error as OrtError).message).toMatch(/^SetSessionGraphOptimizationLevel: ./);
      expect((error as OrtError).ortCode).toBe(2);
    } finally {
      api.ReleaseSessionOptions(options);
    }
  });

  test('tells a missing file from a broken one, and frees a failed load', async () => {
    const api = ortApi();
    const options = api.CreateSessionOptions();
    const env = openEnv(api);
    await expect(api.async.CreateSession(env, '/nowhere/model.onnx', options)).rejects.toMatchObject({
      ortCode: 3,
    });
    api.ReleaseSessionOptions(options);
    api.ReleaseEnv(env);
  });
});

describe('the library', () => {
  test('refuses a second one beside the first', () => {
    ortApi();
    expect(() => loadOrtLibrary('/another/libonnxruntime.so.1')).toThrow(EngineError);
    expect(() => loadOrtLibrary('/another/libonnxruntime.so.1')).toThrow(/cannot be loaded beside it/);
  });

  test('knows the session options that are set: it ignores those that it does not know', () => {
    const library = readFileSync(loadOrtLibrary().path);
    const isKnown = (key: string) => library.includes(`\0${key}\0`);
    expect(Object.keys(THREADING_OPTIONS).filter((key) => !isKnown(key))).toEqual([]);
    expect(isKnown('session.intra_op.allow_spinnin')).toBe(false);
  });

  test('was told not to report home', () => {
    expect(process.env.ORT_DISABLE_TELEMETRY).toBe('1');
  });
});
