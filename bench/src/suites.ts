/** The suites by name. Models that are not embedded are given by their folder in the environment. */
import type { TrioOptions } from '@forerunner/testkit';
import { type Scenario, speculationScenarios } from './scenario.ts';

const classic: TrioOptions = { target: '135m', draft: '135m-draft' };
const feature: TrioOptions = { target: '135m', draft: '135m-feature-draft' };
/** The fastest target-only configuration: passes of one row, at the price of bit equality. */
const oneRow = { CANONICAL_SHAPES: 'false' };

/** Up to four guesses, as long as the draft is sure: the first is what `npm start` and docker-compose.yml set. */
const cutShort = [
  { draft_k: 4, min_confidence: 0.7 },
  { draft_k: 4, min_confidence: 0.9 },
];

/** The same pairs on the float32 target, which is too large to embed: FLOAT32_TARGET_DIR names its folder. */
function onFloat32(options: TrioOptions): TrioOptions {
  const dir = process.env.FLOAT32_TARGET_DIR;
  if (!dir) throw new Error('set FLOAT32_TARGET_DIR to the folder of the float32 target (docs/models.md)');
  return { ...options, targetEnv: { ...options.targetEnv, MODEL_DIR: dir } };
}

export const suites: Record<string, () => Scenario[]> = {
  smoke: () =>
    speculationScenarios({
      label: '135m',
      servers: { classic, feature },
      baselines: ['feature'],
      ks: { feature: [1, 2], classic: [2] },
      temperatures: [0, 0.8],
      numPrompts: 8,
      maxNewTokens: 48,
    }),

  /** What the native runtime is worth: the same pair on onnxruntime-node. */
  runtimes: () =>
    speculationScenarios({
      label: '135m',
      servers: {
        native: feature,
        node: { ...feature, targetEnv: { RUNTIME: 'node' }, draftEnv: { RUNTIME: 'node' } },
      },
      baselines: ['native', 'node'],
      ks: { native: [1], node: [1] },
      temperatures: [0, 0.8],
      numPrompts: 8,
      maxNewTokens: 128,
    }),

  tiny: () =>
    speculationScenarios({
      label: 'tiny',
      servers: { tiny: { target: 'tiny', draft: 'tiny-draft' } },
      baselines: ['tiny'],
      ks: { tiny: [2, 5] },
      temperatures: [0, 0.8],
      numPrompts: 8,
      maxNewTokens: 64,
      promptAs: 'text',
    }),

  drafts: () =>
    speculationScenarios({
      label: 'int8 target',
      servers: { feature, classic, 'one row': { ...feature, targetEnv: oneRow } },
      baselines: ['feature', 'one row'],
      ks: { feature: [1, ...cutShort, 2, 3, 4, 5, 6], classic: [1, 2, 3, 4, 5, 6] },
      temperatures: [0, 0.8, 1],
      numPrompts: 20,
      maxNewTokens: 128,
    }),

  'drafts-float32': () =>
    speculationScenarios({
      label: 'float32 target',
      servers: {
        feature: onFloat32(feature),
        classic: onFloat32(classic),
        'one row': onFloat32({ ...feature, targetEnv: oneRow }),
      },
      baselines: ['feature', 'one row'],
      ks: { feature: [1, ...cutShort, 2, 3, 4, 5, 6], classic: [1, 2, 3, 4, 5, 6] },
      temperatures: [0, 0.8, 1],
      numPrompts: 12,
      maxNewTokens: 128,
    }),
};
