import { describe, expect, it } from 'vitest';
import { GraphError } from '../src/errors.ts';
import { decodeModel, encodeModel } from '../src/onnx.ts';
import { graphBytes } from './models.ts';

describe('reading and writing ONNX', () => {
  it.each(['tiny-target', 'tiny-target-fp16', 'smollm2-135m-instruct-int8', 'smollm2-135m-draft-feature-int8'])(
    'writes %s back byte for byte',
    (name) => {
      const bytes = graphBytes(name);
      expect(Buffer.compare(encodeModel(decodeModel(bytes)), bytes)).toBe(0);
    },
  );

  it('keeps fields that the schema does not know, in the model and deep inside', () => {
    const unknownField = Buffer.from([0xc2, 0x3e, 3, 1, 2, 3]); // field 1000, three bytes
    const bytes = Buffer.concat([graphBytes('tiny-target'), unknownField]);
    const model = decodeModel(bytes);
    const node = model.graph.node[0] as unknown as { $unknowns?: Uint8Array[] };
    node.$unknowns = [unknownField];
    const again = decodeModel(encodeModel(model)) as unknown as { $unknowns?: Uint8Array[] } & typeof model;
    const innerAgain = again.graph.node[0] as unknown as { $unknowns?: Uint8Array[] };
    expect(Buffer.from(again.$unknowns?.[0] ?? [])).toEqual(unknownField);
    expect(Buffer.from(innerAgain.$unknowns?.[0] ?? [])).toEqual(unknownField);
  });

  it('leaves references to external data as they are', () => {
    const before = decodeModel(graphBytes('tiny-target')).graph.initializer[0];
    expect(before?.externalData?.map(({ key }) => key)).toEqual(['location', 'offset', 'length']);
    expect(before?.rawData ?? []).toHaveLength(0);
  });

  it.each([
    ['text', Buffer.from('{"not": "a model"}')],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s with a readable error', (_, bytes) => {
    expect(() => decodeModel(bytes)).toThrow(GraphError);
    expect(() => decodeModel(bytes)).toThrow(/not an ONNX model/);
  });
});
