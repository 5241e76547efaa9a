import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeModel, Graph, rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LmSession, pastFrom, toFloat32 } from '../src/check/lm-session.ts';
import { type Agreement, addAgreement, newAgreement, shares } from '../src/feature-draft/agreement.ts';
import { findLastLayer } from '../src/feature-draft/last-layer.ts';
import { seededRandom } from '../src/feature-draft/random.ts';
import { writeText } from '../src/feature-draft/self-text.ts';
import { trainTinyFeatureDraft } from '../src/feature-draft/train.ts';
import { modelFolder } from './models.ts';

const TARGET = modelFolder('tiny-target');
const NUM_PROMPT_TOKENS = 24;
const NUM_TOKENS = 72;
const WIDTH = 64;
const HEAD_DIM = 16;

describe('a feature draft trained on what tiny-target writes', () => {
  const root = mkdtempSync(join(tmpdir(), 'feature-draft-'));
  const draftDir = join(root, 'tiny-feature-draft');
  let target: LmSession;
  let draft: LmSession;
  /** Greedy texts from other seeds than the training's, with the target's hidden states. */
  let texts: { tokenIds: Int32Array; hiddenStates: Float32Array }[];

  beforeAll(async () => {
    await trainTinyFeatureDraft(TARGET, draftDir);
    target = await openFolder(TARGET);
    draft = await openFolder(draftDir);
    texts = await greedyTexts(target, 8);
  });

  afterAll(async () => {
    await target.close();
    await draft.close();
    rmSync(root, { recursive: true });
  });

  async function agreement(
    session: LmSession,
    change?: (hiddenStates: Float32Array) => Float32Array,
  ): Promise<Agreement> {
    const total = newAgreement(3);
    for (const { tokenIds, hiddenStates } of texts) {
      const own = change?.(hiddenStates);
      await addAgreement(total, {
        draft: session,
        tokenIds,
        numPromptTokens: NUM_PROMPT_TOKENS,
        hiddenStates: own ?? hiddenStates,
      });
    }
    return total;
  }

  it('guesses right far above chance at the first three positions', async () => {
    const found = shares(await agreement(draft));
    const chance = shareOfCommonest(texts.flatMap(({ tokenIds }) => [...tokenIds.subarray(NUM_PROMPT_TOKENS)]));
    for (const share of found) {
      expect(share).toBeGreaterThan(0.3);
      expect(share).toBeGreaterThan(3 * chance);
    }
  });

  it('guesses worse from noise, so it really reads the hidden states', async () => {
    const random = seededRandom(5);
    const [withHiddenStates = 0] = shares(await agreement(draft));
    const [withNoise = 1] = shares(await agreement(draft, (hiddenStates) => hiddenStates.map(() => 4 * random() - 2)));
    expect(withNoise).toBeLessThan(withHiddenStates / 1.5);
  });

  it('continues from its cache as if it had read everything at once', async () => {
    const { tokenIds, hiddenStates } = texts[0]!;
    const run = (from: number, to: number, past = draft.emptyPast()) =>
      draft.run({
        tokenIds: tokenIds.subarray(from + 1, to + 1),
        hiddenStates: hiddenStates.subarray(from * WIDTH, to * WIDTH),
        past,
        numPastTokens: from,
      });
    const whole = toFloat32((await run(0, 12)).logits);
    const head = await run(0, 9);
    const tail = toFloat32((await run(9, 12, new Map(pastFrom(head)))).logits);
    for (const [i, logit] of whole.subarray(-tail.length).entries()) expect(tail[i]).toBeCloseTo(logit, 4);
  });

  it('says in config.json what it wants', () => {
    const config = JSON.parse(readFileSync(join(draftDir, 'config.json'), 'utf8'));
    expect(config).toMatchObject({
      num_hidden_layers: 1,
      vocab_size: 1024,
      draft_hidden_states: {
        input: 'features',
        target_output: 'hidden_states',
        own_output: 'hidden_states',
        width: WIDTH,
      },
    });
    expect(draft.inputNames).toEqual(
      expect.arrayContaining([
        'input_ids',
        'attention_mask',
        'features',
        'num_logits_to_keep',
        'past_key_values.0.key',
      ]),
    );
    expect(draft.outputNames.toSorted()).toEqual(['hidden_states', 'logits', 'present.0.key', 'present.0.value']);
  });

  it('is the same file for the same seed and another one for another', async () => {
    const train = async (name: string, seed: number) => {
      await trainTinyFeatureDraft(TARGET, join(root, name), { seed, numTexts: 2 });
      return readFileSync(join(root, name, 'model.onnx'));
    };
    const first = await train('first', 7);
    expect(first.equals(await train('again', 7))).toBe(true);
    expect(first.equals(await train('other', 8))).toBe(false);
  });

  it('can cut its head to the commonest tokens, and maps rows back', async () => {
    const cutDir = join(root, 'cut');
    await trainTinyFeatureDraft(TARGET, cutDir, { draftVocabSize: 256 }); // same seed: the same projection as `draft`
    const keptTokenIds = new Int32Array(Uint8Array.from(readFileSync(join(cutDir, 'd2t.i32'))).buffer);
    expect(keptTokenIds).toHaveLength(256);
    expect(keptTokenIds).toEqual(keptTokenIds.toSorted());
    const cut = await openFolder(cutDir);
    try {
      const { tokenIds, hiddenStates } = texts[0]!;
      const step = {
        tokenIds: tokenIds.subarray(1, 9),
        hiddenStates: hiddenStates.subarray(0, 8 * WIDTH),
        numPastTokens: 0,
      };
      const full = toFloat32((await draft.run({ ...step, past: draft.emptyPast() })).logits);
      const few = toFloat32((await cut.run({ ...step, past: cut.emptyPast() })).logits);
      for (const [row, tokenId] of keptTokenIds.entries()) {
        expect(few[7 * 256 + row]).toBeCloseTo(full[7 * 1024 + tokenId]!, 4);
      }
    } finally {
      await cut.close();
    }
  });

  it('refuses a norm with a bias, which its own would lack', () => {
    const bytes = rewriteModel(readFileSync(join(modelFolder('tiny-target'), 'model.onnx')), (graph) => {
      for (const node of graph.nodes) {
        if (node.opType === 'SkipSimplifiedLayerNormalization') node.input.push('bias');
      }
    });
    expect(() => findLastLayer(new Graph(decodeModel(bytes)))).toThrow(/lacks a norm without a bias/);
  });

  it('refuses a target in float16 in words', async () => {
    const training = trainTinyFeatureDraft(modelFolder('tiny-target-fp16'), join(root, 'half'));
    await expect(training).rejects.toThrow(/float32 target with the output hidden_states/);
  });
});

async function openFolder(folder: string): Promise<LmSession> {
  return LmSession.open(readFileSync(join(folder, 'model.onnx')), folder, HEAD_DIM);
}

async function greedyTexts(target: LmSession, count: number) {
  const random = seededRandom(99);
  const texts: { tokenIds: Int32Array; hiddenStates: Float32Array }[] = [];
  for (let text = 0; text < count; text++) {
    const start = [1, Math.floor(random() * 1024)];
    const options = { promptTokenIds: start, numTokens: NUM_PROMPT_TOKENS, temperature: 1, random };
    const prompt = await writeText(target, options);
    const tokenIds = await writeText(target, {
      promptTokenIds: [...prompt],
      numTokens: NUM_TOKENS,
      temperature: 0,
      random,
    });
    const outputs = await target.run({ tokenIds, past: target.emptyPast(), numPastTokens: 0 });
    texts.push({ tokenIds, hiddenStates: toFloat32(outputs.hidden_states) });
  }
  return texts;
}

function shareOfCommonest(tokenIds: number[]): number {
  const counts = new Map<number, number>();
  for (const tokenId of tokenIds) counts.set(tokenId, (counts.get(tokenId) ?? 0) + 1);
  return Math.max(...counts.values()) / tokenIds.length;
}
