import { describe, expect, it } from 'vitest';
import { type ChannelMessage, ChannelReader, channelHead, ServiceError } from '../src/index.ts';

const message = (head: string, body: Uint8Array): Buffer =>
  Buffer.concat([channelHead(head, body.byteLength), Buffer.from(body)]);

function readIn(pieces: readonly Buffer[], maxBodyBytes = 1 << 20): ChannelMessage[] {
  const messages: ChannelMessage[] = [];
  const reader = new ChannelReader(maxBodyBytes, (read) => messages.push(read));
  for (const piece of pieces) reader.push(piece);
  expect(reader.isWithinMessage).toBe(false);
  return messages;
}

const bodies = [Buffer.from('first'), Buffer.alloc(0), Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256))];
const stream = Buffer.concat(bodies.map((body, i) => message(`/v1/call-${i} r-${i}`, body)));

describe('messages of a channel', () => {
  it.each([1, 3, 8, 17, 100, stream.length])('are put together from pieces of %i bytes', (size) => {
    const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) =>
      stream.subarray(i * size, (i + 1) * size),
    );
    const read = readIn(pieces);
    expect(read.map(({ head }) => head)).toEqual(['/v1/call-0 r-0', '/v1/call-1 r-1', '/v1/call-2 r-2']);
    expect(read.map(({ body }) => body.toString('hex'))).toEqual(bodies.map((body) => body.toString('hex')));
  });

  it('have bodies that any section may lie in, and that later pieces do not overwrite', () => {
    const piece = message('/v1/score r', Buffer.from('abc'));
    const [read] = readIn([piece]);
    piece.fill(0);
    expect(read!.body.byteOffset % 8).toBe(0);
    expect(read!.body.toString()).toBe('abc');
  });

  it('know when one has begun and not ended', () => {
    const reader = new ChannelReader(10, () => {});
    expect(reader.isWithinMessage).toBe(false);
    reader.push(Buffer.from([8]));
    expect(reader.isWithinMessage).toBe(true);
  });

  it.each([
    ['a head of no bytes', [0, 0], 'malformed_frame', 'a head of 0 bytes'],
    ['a head that is not padded', [9, 0], 'malformed_frame', 'a head of 9 bytes'],
    ['what is not a message ("HTTP/1.1")', [0x50545448, 0x312e312f], 'malformed_frame', 'a head of'],
    ['a body over the limit', [8, 65], 'payload_too_large', 'at most 64 bytes, got 65'],
  ])('are refused: %s', (_what, [headBytes, bodyBytes], code, words) => {
    const prefix = Buffer.alloc(8);
    prefix.writeUInt32LE(headBytes!, 0);
    prefix.writeUInt32LE(bodyBytes!, 4);
    let error: unknown;
    try {
      readIn([prefix], 64);
    } catch (cause) {
      error = cause;
    }
    expect(error).toBeInstanceOf(ServiceError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
  });
});
