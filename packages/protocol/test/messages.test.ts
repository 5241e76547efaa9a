import { describe, expect, it } from 'vitest';
import {
  encodeFrame,
  encodeMessage,
  flattenFrame,
  generateRequestSchema,
  packDistributions,
  parseOrThrow,
  parseProposeReply,
  parseScoreReply,
  proposeReplyFrame,
  scoreReplyFrame,
  scoreRequestFrame,
  scoreRequestSchema,
  TokenPrefix,
} from '../src/index.ts';

const timing = { queue_ms: 0, model_ms: 1, total_ms: 2 };
const digest = new TokenPrefix().digestAt(0);

describe('a prefix', () => {
  it('has one digest for one text, however it was appended', () => {
    const whole = new TokenPrefix();
    whole.append([5, 6, 7, 8]);
    const pieces = new TokenPrefix(1);
    for (const id of [5, 6, 9]) pieces.append([id]);
    pieces.truncate(2);
    pieces.append([7, 8]);
    for (let length = 0; length <= 4; length++) expect(pieces.digestAt(length)).toBe(whole.digestAt(length));
    expect([...pieces.ids(1, 3)]).toEqual([6, 7]);
  });

  it('has other digests for other texts', () => {
    const digests = new Set<string>();
    for (let a = 0; a < 40; a++)
      for (let b = 0; b < 40; b++) {
        const prefix = new TokenPrefix();
        prefix.append([a, b]);
        digests.add(prefix.digestAt(2));
      }
    expect(digests.size).toBe(1600);
  });
});

describe('a score request', () => {
  it('reads the same from a frame and from JSON', () => {
    const message = scoreRequestFrame({
      sequence_id: 's',
      position: 0,
      prefix_digest: digest,
      token_ids: Int32Array.of(1, 2),
      rows: 'probs',
    });
    const fromFrame = parseOrThrow(scoreRequestSchema, flattenFrame(encodeFrame(message)));
    const fromJson = parseOrThrow(scoreRequestSchema, JSON.parse(encodeMessage(message, 'json').toString()));
    expect(fromFrame).toEqual(fromJson);
    expect(fromFrame.sampling.temperature).toBe(1);
  });

  it.each([
    ['token_ids', { token_ids: [1.5] }],
    ['token_ids', { token_ids: [-1] }],
    ['position', { position: -1 }],
    ['prefix_digest', { prefix_digest: 'xyz' }],
    ['sequence_id', { sequence_id: '../etc' }],
    ['rows', { rows: 'everything' }],
  ])('names %s when it is wrong', (field, change) => {
    const body = { sequence_id: 's', position: 0, prefix_digest: digest, token_ids: [1], ...change };
    expect(() => parseOrThrow(scoreRequestSchema, body)).toThrow(field);
  });
});

describe('replies', () => {
  it('carry argmax ids, distributions, logits and hidden states', () => {
    const distributions = packDistributions([
      { tokenIds: Int32Array.of(1, 3), probs: Float32Array.of(0.25, 0.75) },
      { tokenIds: null, probs: Float32Array.of(0.25, 0.25, 0.25, 0.25) },
    ]);
    const reply = {
      sequence_id: 's',
      cached_length: 2,
      vocab_size: 4,
      num_reused_tokens: 0,
      timing,
      argmaxTokenIds: Int32Array.of(3),
      distributions,
      logits: Float32Array.of(1, 2, 3, 4),
      hiddenStates: Float16Array.of(0.5, 1),
    };
    expect(parseScoreReply(encodeFrame(scoreReplyFrame(reply)))).toEqual(reply);
    expect([...distributions.tokenIds!]).toEqual([1, 3, 0, 1, 2, 3]);
  });

  it.each([
    ['ids out of order', Int32Array.of(3, 1), Int32Array.of(0, 2)],
    ['ids outside the vocabulary', Int32Array.of(1, 4), Int32Array.of(0, 2)],
    ['offsets that do not span', Int32Array.of(1, 3), Int32Array.of(0, 1)],
  ])('with %s are malformed', (_what, tokenIds, offsets) => {
    const distributions = { offsets, tokenIds, probs: Float32Array.of(0.5, 0.5) };
    const reply = { sequence_id: 's', cached_length: 2, vocab_size: 4, num_reused_tokens: 0, timing, distributions };
    expect(() => parseScoreReply(encodeFrame(scoreReplyFrame(reply)))).toThrow(/malformed/);
  });

  it.each([
    ['sequence_id', 7],
    ['cached_length', '2'],
    ['vocab_size', 1.5],
    ['num_reused_tokens', null],
    ['next_token_id', true],
    ['timing', undefined],
    ['timing', { ...timing, model_ms: null }],
  ])('whose %s is %j are malformed', (name, value) => {
    const header = { sequence_id: 's', cached_length: 2, vocab_size: 4, timing, [name]: value };
    const bytes = encodeFrame({ header, sections: {} });
    expect(() => parseScoreReply(bytes)).toThrow(new RegExp(`malformed frame: "${name}`));
  });

  it('that propose a token outside the vocabulary are refused', () => {
    const draftTokenIds = Int32Array.of(4);
    const reply = { sequence_id: 's', cached_length: 2, vocab_size: 4, num_reused_tokens: 0, timing, draftTokenIds };
    expect(() => parseProposeReply(encodeFrame(proposeReplyFrame(reply)))).toThrow(/outside its vocabulary/);
  });
});

describe('a generate request', () => {
  it('has the documented defaults', () => {
    expect(parseOrThrow(generateRequestSchema, { prompt: 'Hi' })).toMatchObject({
      max_new_tokens: 50,
      temperature: 1,
      top_k: 0,
      top_p: 1,
      stop: [],
      stream: false,
      verification: 'coupled',
      speculative: true,
    });
  });

  it.each([
    ['exactly one', {}],
    ['exactly one', { prompt: 'a', messages: [{ role: 'user', content: 'b' }] }],
    ['"prompt": must not be empty', { prompt: '' }],
    ['"messages": must not be empty', { messages: [] }],
    ['"max_new_tokens": must be at least 1 (tokens), got 0', { prompt: 'a', max_new_tokens: 0 }],
    ['"max_new_tokens": must be a whole number', { prompt: 'a', max_new_tokens: 1.5 }],
    ['"temperature": must be at least 0', { prompt: 'a', temperature: -1 }],
    ['"temperature"', { prompt: 'a', temperature: Number.NaN }],
    ['"top_p": must be greater than 0', { prompt: 'a', top_p: 0 }],
    ['"seed"', { prompt: 'a', seed: 1e300 }],
    ['"stop"', { prompt: 'a', stop: [''] }],
    ['"messages.0.role"', { messages: [{ role: 'wizard', content: 'b' }] }],
    ['max_tokens', { prompt: 'a', max_tokens: 5 }],
  ])('is refused with %s', (message, body) => {
    expect(() => parseOrThrow(generateRequestSchema, body)).toThrow(message);
  });
});
