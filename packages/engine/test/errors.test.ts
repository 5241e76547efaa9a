import { describe, expect, it } from 'vitest';
import * as errors from '../src/errors.ts';
import { requireContext, requireTokenIds } from '../src/limits.ts';

describe('errors of the engine', () => {
  it.each([
    [errors.contextOverflow(9, 8), 'context_overflow', { num_tokens: 9, context_length: 8 }],
    [errors.modelNotFound('no', { model_dir: '/m' }), 'model_not_found', { model_dir: '/m' }],
    [errors.outOfMemory('full', 64), 'out_of_memory', { needed_bytes: 64 }],
    [errors.providerUnavailable('cuda', 'no'), 'execution_provider_unavailable', { provider: 'cuda' }],
    [errors.sequenceMismatch('gone', 3), 'sequence_mismatch', { cached_length: 3 }],
    [errors.tokenOutOfRange(70, 2, 64), 'token_out_of_range', { index: 2, vocab_size: 64 }],
  ])('carry details as they go out: %s', (error, code, details) => {
    expect([error.code, error.details]).toEqual([code, details]);
  });

  it('keep what caused them', () => {
    const cause = new Error('a kernel');
    expect(errors.modelFailed(cause)).toMatchObject({ cause, message: 'the pass failed: a kernel' });
    expect(errors.aborted('left')).not.toHaveProperty('cause');
  });
});

describe('the limits of a model', () => {
  it('let through what just fits', () => {
    requireContext(8, 8);
    requireTokenIds(Int32Array.of(0, 63), 64);
  });

  it('name value and bound', () => {
    expect(() => requireContext(9, 8)).toThrow('9 tokens exceed the context of 8');
    expect(() => requireContext(9, 8, '7 cached and 2 new tokens')).toThrow('7 cached and 2 new tokens exceed');
    expect(() => requireTokenIds(Int32Array.of(1, -1), 64)).toThrow('token id -1 at index 1 is outside 0..63');
  });
});
