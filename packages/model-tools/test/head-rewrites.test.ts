import { addHiddenStatesOutput, addNumLogitsToKeep, rewriteModel } from '@forerunner/onnx-graph';
import { describe, expect, it } from 'vitest';
import { checkHiddenStates, checkNumLogitsToKeep } from '../src/check/checks.ts';
import { checked, plainExport, withoutNames } from './models.ts';

const SAME = { numRows: 30, maxDifference: 0, numArgmaxDifferences: 0, largestLostMargin: 0 };
const TARGETS = ['tiny-target', 'tiny-target-fp16'];

describe('addHiddenStatesOutput', () => {
  it.each(TARGETS)('gives every row of %s, also when the head runs over one', async (name) => {
    const bytes = addHiddenStatesOutput(addNumLogitsToKeep(plainExport(name)));
    expect(await checkHiddenStates(checked(name, bytes))).toEqual(SAME);
  });

  it('works on a plain export whose names say nothing', async () => {
    const plain = withoutNames(plainExport('tiny-target'));
    expect(await checkHiddenStates(checked('tiny-target', addHiddenStatesOutput(plain)))).toEqual(SAME);
  });

  it('gives way where an inner value has the name already', async () => {
    const taken = rewriteModel(plainExport('tiny-target'), (graph) => {
      const inner = graph.nodes.find((node) => node.opType === 'Sigmoid');
      graph.renameValue(inner?.output[0] ?? '', 'hidden_states');
    });
    expect(await checkHiddenStates(checked('tiny-target', addHiddenStatesOutput(taken)))).toEqual(SAME);
  });
});

describe('addNumLogitsToKeep', () => {
  it.each(TARGETS)('gives the last rows of %s, and all of them for 0', async (name) => {
    const bytes = addNumLogitsToKeep(withoutNames(plainExport(name)));
    expect(await checkNumLogitsToKeep(checked(name, bytes, plainExport(name)))).toEqual(SAME);
  });
});
