import { describe, expect, it } from 'vitest';
import { decodeFrame, encodeFrame, encodeMessage, flattenFrame, ServiceError } from '../src/index.ts';

const frame = () =>
  encodeFrame({
    header: { sequence_id: 'a', position: 3 },
    sections: {
      token_ids: Int32Array.of(1, 2, 3),
      logits: Float32Array.of(0.5, -Infinity),
      hidden_states: Float16Array.of(0.25, 65504, -1),
      none: new Int32Array(0),
    },
  });

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
  return 'no error';
};

/** A frame with this header and these bytes behind it. */
function rawFrame(header: string, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.write('FRF1');
  prefix.writeUInt32LE(head.length, 4);
  const padding = Buffer.alloc((8 - ((8 + head.length) % 8)) % 8);
  return Buffer.concat([prefix, head, padding, payload]);
}

describe('a frame', () => {
  it('comes back as it went', () => {
    const { header, sections } = decodeFrame(frame());
    expect(header).toEqual({ sequence_id: 'a', position: 3 });
    expect({ ...sections }).toEqual({
      token_ids: Int32Array.of(1, 2, 3),
      logits: Float32Array.of(0.5, -Infinity),
      hidden_states: Float16Array.of(0.25, 65504, -1),
      none: new Int32Array(0),
    });
  });

  it('comes back from memory that is not aligned', () => {
    const bytes = frame();
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(decodeFrame(shifted.subarray(1)).sections.token_ids).toEqual(Int32Array.of(1, 2, 3));
  });

  it('shares the memory of aligned bytes', () => {
    const bytes = frame();
    expect(decodeFrame(bytes).sections.token_ids!.buffer).toBe(bytes.buffer);
  });

  it('is refused wherever it is cut', () => {
    const bytes = frame();
    for (let length = 0; length < bytes.length - 8; length++) {
      expect(codeOf(() => decodeFrame(bytes.subarray(0, length)))).toBe('malformed_frame');
    }
  });

  it.each([
    ['another magic', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a header length that lies', Buffer.from([0x46, 0x52, 0x46, 0x31, 0xff, 0xff, 0xff, 0x7f])],
    ['a header that is no JSON', rawFrame('{"sections":')],
    ['a header that is a list', rawFrame('[]')],
    ['no sections', rawFrame('{}')],
    ['a section that runs past the end', rawFrame('{"sections":[{"name":"a","type":"int32","length":9}]}')],
    ['a negative length', rawFrame('{"sections":[{"name":"a","type":"int32","length":-1}]}')],
    ['a length that is no integer', rawFrame('{"sections":[{"name":"a","type":"int32","length":0.5}]}')],
    ['a huge length', rawFrame('{"sections":[{"name":"a","type":"int32","length":9007199254740991}]}')],
    ['an unknown type', rawFrame('{"sections":[{"name":"a","type":"int64","length":0}]}')],
    ['a type from the prototype', rawFrame('{"sections":[{"name":"a","type":"constructor","length":0}]}')],
    [
      'two sections of one name',
      rawFrame('{"sections":[{"name":"a","type":"int32","length":0},{"name":"a","type":"int32","length":0}]}'),
    ],
    ['a section without a name', rawFrame('{"sections":[{"type":"int32","length":0}]}')],
    ['bytes after the last section', rawFrame('{"sections":[]}', Buffer.alloc(16))],
    ['a null section', rawFrame('{"sections":[null]}')],
  ])('with %s is malformed', (_what, bytes) => {
    expect(codeOf(() => decodeFrame(bytes))).toBe('malformed_frame');
  });

  it('that names a field and a section alike is malformed', () => {
    const bytes = encodeFrame({ header: { token_ids: [1] }, sections: { token_ids: Int32Array.of(1) } });
    expect(codeOf(() => flattenFrame(bytes))).toBe('malformed_frame');
  });

  it('survives random bytes with a stable error', () => {
    let state = 12345;
    const random = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state / 2 ** 32;
    };
    const original = frame();
    for (let trial = 0; trial < 3000; trial++) {
      const bytes = Buffer.from(original);
      for (let flips = 0; flips < 3; flips++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      expect(['no error', 'malformed_frame']).toContain(codeOf(() => flattenFrame(bytes)));
    }
  });
});

describe('a message as JSON', () => {
  it('carries sections as lists of numbers', () => {
    const json = encodeMessage({ header: { a: 1 }, sections: { ids: Int32Array.of(4, 5) } }, 'json');
    expect(JSON.parse(json.toString())).toEqual({ a: 1, ids: [4, 5] });
  });
});
