/** Targets of another model, at start and in the place of one that served: no answer begins or goes on with them unseen. */
import { afterEach, describe, expect, it } from 'vitest';
import { type ScriptedTrio, type ScriptedTrioOptions, startScriptedTrio } from './surface/scripted-trio.ts';

const OWN = 'd'.repeat(64);
const OTHER = 'e'.repeat(64);
const TEXT = 'The old mill stood by the river and turned.';

let trio: ScriptedTrio;
afterEach(() => trio.stop());
const start = async (options: Partial<ScriptedTrioOptions> = {}) => {
  trio = await startScriptedTrio({ text: TEXT, isWrong: () => true, ...options });
  return trio;
};

const generate = async (more: object = {}) => {
  const reply = await fetch(`${trio.url}/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Say it:', temperature: 0, ...more }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: replies are checked field by field
  return { status: reply.status, body: (await reply.json()) as any };
};
const isReady = async () => (await fetch(`${trio.url}/readyz`)).status === 200;

describe('replicas of different models', () => {
  it('are not served from: the service is not ready and says which models they are', async () => {
    const { otherTargets, target } = await start({ otherTargets: [OTHER] });
    expect(await isReady()).toBe(false);
    for (let i = 0; i < 2; i++) {
      const { status, body } = await generate();
      expect([status, body.error.code]).toEqual([503, 'target_unavailable']);
      expect(body.error.message).toMatch(/serve different models: .*dddddddddddd.* and .*eeeeeeeeeeee/);
    }
    expect([target.numCalls, otherTargets[0]!.numCalls]).toEqual([0, 0]);

    otherTargets[0]!.modelDigest = OWN;
    await trio.checkPeers();
    expect(await isReady()).toBe(true);
    expect((await generate()).body.text).toBe(TEXT);
  });

  it('are told apart by the next request when one was swapped since the last look: it is left out', async () => {
    const { otherTargets, target } = await start({ otherTargets: [OWN] });
    otherTargets[0]!.modelDigest = OTHER;
    // The first prompt that belongs to the swapped replica is refused there; the other one answers.
    const replicas = async () => {
      const model = await (await fetch(`${trio.url}/v1/model`)).json();
      return (model as { replicas: { target: { state: string }[] } }).replicas.target;
    };
    for (let i = 0; i < 64 && (await replicas())[1]!.state === 'serving'; i++) {
      expect((await generate({ prompt: `Say it ${i}:` })).body.text).toBe(TEXT);
    }
    expect(otherTargets[0]!.numCalls).toBe(0);
    expect(target.numCalls).toBeGreaterThan(0);
    expect(await replicas()).toMatchObject([
      { state: 'serving', model_digest: OWN, reason: null },
      { state: 'refused', model_digest: OTHER, reason: expect.stringMatching(/dddddddddddd.*eeeeeeeeeeee.*left out/) },
    ]);
    expect(await isReady()).toBe(true);
    expect((await generate()).body.text).toBe(TEXT);
  });

  it('never share an answer: one whose replica is swapped in mid-stream goes on with a replica of its model', async () => {
    const { otherTargets, target } = await start({ otherTargets: [OWN] });
    const replicas = [target, otherTargets[0]!];
    for (const replica of replicas) {
      replica.before = (call) => {
        const isFirst = replicas.every((other) => other === replica || other.numCalls === 0);
        if (call === 3 && isFirst) replica.modelDigest = OTHER; // what it was asked for it still gives
      };
    }
    const { status, body } = await generate({ draft_k: 0 });
    expect([status, body.text]).toEqual([200, TEXT]);
    const [swapped, ...others] = replicas.toSorted(
      (a, b) => Number(a.modelDigest === OWN) - Number(b.modelDigest === OWN),
    );
    expect([swapped!.modelDigest, swapped!.numCalls]).toEqual([OTHER, 4]);
    expect(others[0]!.numCalls).toBeGreaterThan(3);
  });
});

describe('a single target that is swapped', () => {
  it('between two requests refuses the first, naming both models, and answers the next', async () => {
    const { target } = await start();
    target.modelDigest = OTHER;
    const { status, body } = await generate();
    expect([status, body.error.code]).toEqual([503, 'target_unavailable']);
    expect(body.error.message).toMatch(/dddddddddddd.*"scripted-target" \(eeeeeeeeeeee\)/);
    expect(target.numCalls).toBe(0);
    expect((await generate()).body.text).toBe(TEXT);
  });

  it('in mid-stream ends the stream with an error', async () => {
    const { target } = await start();
    target.before = (call) => {
      if (call === 3) target.modelDigest = OTHER;
    };
    const reply = await fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Say it:', temperature: 0, draft_k: 0, stream: true }),
    });
    const text = await reply.text();
    expect(text).toMatch(/event: error\ndata: .*"target_unavailable".*/);
    expect(text).toMatch(/dddddddddddd.*eeeeeeeeeeee/);
    expect(text).not.toContain('[DONE]');
    expect(target.numCalls).toBe(4);
  });
});
