import { expect, it } from 'vitest';
import { retiredSettings } from '../src/settings.ts';

it.each(['true', 'false'])('names BATCHED_PASSES=%s as gone, and what replaces it', (value) => {
  const [message, ...more] = retiredSettings({ BATCHED_PASSES: value });
  expect(message).toMatch(new RegExp(`BATCHED_PASSES=${value} .*no longer exists: .*BATCH_SIZE=1`));
  expect(more).toEqual([]);
});

it('has nothing to say where no such setting is left', () => {
  expect(retiredSettings({ BATCH_SIZE: '4', BATCHED_PASSES: ' ' })).toEqual([]);
});
