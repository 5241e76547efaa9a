/** The probe looks at short texts, and at long ones as far as time and context allow. */
import { expect, test } from 'vitest';
import { probeNumericRegime } from '../src/regime-probe.ts';
import { ToyRunner } from './toy-runner.ts';

const CONTEXT = 2000;
const probe = (flaws: Partial<ToyRunner> = {}, longTextsMs = 60_000, contextLength = CONTEXT) =>
  probeNumericRegime(Object.assign(new ToyRunner(CONTEXT + 1), flaws), { contextLength, longTextsMs });

test.each(['isInexactAlone', 'isInexactInBatches'])(
  'finds kernels that round otherwise for long texts only: %s',
  async (flaw) => {
    expect(await probe({ [flaw]: true, inexactFrom: 1000 })).toEqual({
      numericRegime: 'tolerance',
      numProbedTokens: 1034,
    });
    expect(await probe({ [flaw]: true, inexactFrom: 200 })).toMatchObject({ numProbedTokens: 266 });
  },
);

test('says how long the texts were that it looked at', async () => {
  expect(await probe()).toEqual({ numericRegime: 'bit-exact', numProbedTokens: 1034 });
});

test('looks at none that the budget cannot hold', async () => {
  expect(await probe({ isInexactAlone: true, inexactFrom: 200 }, 60_000, 200)).toEqual({
    numericRegime: 'bit-exact',
    numProbedTokens: 74,
  });
});

test('reads no long text without time for it', async () => {
  expect(await probe({ isInexactAlone: true, inexactFrom: 50 }, 0)).toEqual({
    numericRegime: 'bit-exact',
    numProbedTokens: 18,
  });
});

test('leaves no buffer and no cache behind', async () => {
  const runner = new ToyRunner(CONTEXT);
  await probeNumericRegime(runner, { contextLength: CONTEXT });
  expect([runner.numUnreleased, runner.bytesInUse]).toEqual([0, 0]);
});
