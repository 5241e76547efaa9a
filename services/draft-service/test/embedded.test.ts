/** The draft within another process: what it answers, how it fails, and that it comes back. */
import { ConfigError, createLogger, createRegistry, PeerError } from '@forerunner/service-kit';
import { someIds } from '@forerunner/testkit/in-process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EmbeddedDraft } from '../src/embedded.ts';
import { openDraft, propose, proposing } from './harness.ts';

const registry = () => createRegistry('speculative-coordinator');
const logger = createLogger('test', 'silent');
const TINY = { DRAFT_MODEL_SIZE: 'tiny-draft', DRAFT_NUM_THREADS: '1' };
const TEXT = someIds(40);

const SAMPLING = {
  temperature: 0.8,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  logit_bias: {},
  suppress_tokens: [],
  output_start: 0,
};
const WANTED = {
  num_speculative_tokens: 4,
  sampling: SAMPLING,
  seed: 5,
  coupled: false,
  noise_offset: 0,
  min_confidence: 0,
};
/** What the coordinator sends; its arrays are given away, so each call has its own. */
const request = (id: string, text = TEXT, position = 0, more = {}) => ({
  ...(proposing(id, text, position) as { sequence_id: string; position: number; prefix_digest: string }),
  token_ids: text.slice(position),
  cache_scope: '',
  ...WANTED,
  ...more,
});
const deadline = { timeoutMs: 10_000 };
const failureOf = (call: Promise<unknown>) => call.then(() => null).catch((error: unknown) => error);

let draft: EmbeddedDraft | undefined;
const open = async (env: NodeJS.ProcessEnv = {}, engine?: URL) => {
  draft = await EmbeddedDraft.open({
    env: { ...TINY, ...env },
    logger,
    registry: registry(),
    ...(engine && { engine }),
  });
  return draft;
};
afterEach(async () => {
  await draft?.close();
  draft = undefined;
});

describe.each(['shared', 'own'])('an embedded draft on a thread that is %s', (thread) => {
  it('proposes what the draft-service proposes, and shows its card', async () => {
    const service = await openDraft();
    const embedded = await open({ DRAFT_ENGINE_THREAD: thread });
    const [expected, got] = [
      await propose(service.app, proposing('s', TEXT, 0, WANTED)),
      await embedded.propose(request('s'), deadline),
    ];
    expect(got.draftTokenIds).toHaveLength(4);
    expect({ ...got, timing: null }).toEqual({ ...expected, timing: null });
    expect(await embedded.card()).toMatchObject({ service: 'draft-service', model_id: 'tiny-draft' });
    await service.app.close();
    await service.model.close();
  });

  it('refuses as the service does: a text that it does not have, and hidden states that it does not take', async () => {
    const embedded = await open({ DRAFT_ENGINE_THREAD: thread });
    const unknown = await failureOf(embedded.propose(request('s', TEXT, 8), deadline));
    expect(unknown).toBeInstanceOf(PeerError);
    expect(unknown).toMatchObject({ kind: 'refused', code: 'sequence_mismatch', details: { cached_length: 0 } });
    const states = { hidden_states: new Float16Array(3) };
    expect(await failureOf(embedded.propose(request('s', TEXT, 0, states), deadline))).toMatchObject({
      kind: 'refused',
      code: 'invalid_request',
    });
  });

  it('forgets a sequence that is freed', async () => {
    const embedded = await open({ DRAFT_ENGINE_THREAD: thread, DRAFT_PREFIX_CACHE: 'false' });
    await embedded.propose(request('s'), deadline);
    await embedded.free('s');
    expect(await failureOf(embedded.propose(request('s', TEXT, 8), deadline))).toMatchObject({
      code: 'sequence_mismatch',
    });
  });

  it('gives a call up at its deadline, and when its caller goes, and serves the next one', async () => {
    const embedded = await open({ DRAFT_ENGINE_THREAD: thread });
    const long = someIds(400);
    expect(await failureOf(embedded.propose(request('late', long), { timeoutMs: 0 }))).toMatchObject({
      kind: 'timeout',
    });
    const gone = new AbortController();
    const call = failureOf(embedded.propose(request('gone', long), { ...deadline, signal: gone.signal }));
    const reason = new Error('nobody waits');
    gone.abort(reason);
    expect(await call).toBe(reason);
    expect((await embedded.propose(request('s'), deadline)).draftTokenIds).toHaveLength(4);
  });
});

describe('an embedded draft whose thread dies', () => {
  it('is unreachable until it is open again, with nothing cached', async () => {
    const embedded = await open({ DRAFT_ENGINE_THREAD: 'own' }, new URL('./crashing-engine.ts', import.meta.url));
    const first = await embedded.propose(request('s'), deadline);
    await embedded.propose(request('s'), deadline);
    await embedded.propose(request('s'), deadline);
    const crash = await failureOf(embedded.propose(request('s'), deadline));
    expect(crash).toBeInstanceOf(PeerError);
    await vi.waitFor(async () => expect(await embedded.card()).toBeInstanceOf(Error));
    expect(await failureOf(embedded.propose(request('s'), deadline))).toMatchObject({ kind: 'unreachable' });
    await vi.waitFor(async () => expect(await embedded.card()).toMatchObject({ model_id: 'tiny-draft' }), 10_000);
    expect(await failureOf(embedded.propose(request('s', TEXT, 8), deadline))).toMatchObject({
      code: 'sequence_mismatch',
    });
    const again = await embedded.propose(request('s'), deadline);
    expect(again.draftTokenIds).toEqual(first.draftTokenIds);
  });
});

describe('the settings of an embedded draft', () => {
  it('are named as they were given when they are wrong, all at once', async () => {
    const wrong = open({ DRAFT_KV_CACHE_MB: '0', DRAFT_ENGINE_THREAD: 'both' });
    await expect(wrong).rejects.toThrow(ConfigError);
    await expect(wrong).rejects.toThrow(/DRAFT_KV_CACHE_MB=0: .*\n {2}DRAFT_ENGINE_THREAD=both: /);
  });

  it('name a model that there is', async () => {
    await expect(open({ DRAFT_MODEL_SIZE: 'no-such' })).rejects.toThrow(/^the embedded draft: MODEL_SIZE=no-such/);
  });
});
