/**
 * The binary frame: "FRF1", the header's length (uint32, little endian), a JSON header, then typed sections, each
 * aligned to 8 bytes. The header is an object whose `sections` lists name, type and number of elements in order.
 * Knows bytes; knows nothing of what the sections mean.
 */
import { endianness } from 'node:os';
import { ServiceError } from './errors.ts';

if (endianness() !== 'LE') throw new Error('Forerunner frames are little endian, and so must be the machine');

const MAGIC = 0x31465246; // "FRF1"
const PREFIX_BYTES = 8;
const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 1 << 20;
const MAX_SECTIONS = 64;
const utf8 = new TextDecoder('utf-8', { fatal: true });

const SECTION_TYPES = {
  int32: Int32Array,
  float32: Float32Array,
  float16: Float16Array,
} as const;

export type SectionType = keyof typeof SECTION_TYPES;
export type Section = Int32Array | Float32Array | Float16Array;
export interface Frame {
  readonly header: Readonly<Record<string, unknown>>;
  readonly sections: Readonly<Record<string, Section>>;
}

/** One buffer with everything in it: each section is copied exactly once. */
export function encodeFrame({ header, sections }: Frame): Buffer {
  const entries = Object.entries(sections);
  const table = entries.map(([name, data]) => ({ name, type: typeOf(data), length: data.length }));
  const headerBytes = Buffer.from(JSON.stringify({ ...header, sections: table }));
  let size = align(PREFIX_BYTES + headerBytes.length);
  for (const [, data] of entries) size = align(size + data.byteLength);

  const frame = Buffer.allocUnsafeSlow(size);
  frame.writeUInt32LE(MAGIC, 0);
  frame.writeUInt32LE(headerBytes.length, 4);
  frame.set(headerBytes, PREFIX_BYTES);
  let offset = PREFIX_BYTES + headerBytes.length;
  const pad = () => {
    frame.fill(0, offset, align(offset));
    offset = align(offset);
  };
  pad();
  for (const [, data] of entries) {
    frame.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
    pad();
  }
  return frame;
}

/**
 * Sections are views of `bytes` where its alignment allows, else copies.
 * Errors: ServiceError malformed_frame, saying what is wrong.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const fail = (why: string): never => {
    throw new ServiceError('malformed_frame', `malformed frame: ${why}`);
  };
  if (bytes.byteLength < PREFIX_BYTES) fail(`${bytes.byteLength} bytes are too few`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) fail('it does not begin with "FRF1"');
  const headerLength = view.getUint32(4, true);
  if (headerLength > MAX_HEADER_BYTES) fail(`a header of ${headerLength} bytes exceeds ${MAX_HEADER_BYTES}`);
  if (PREFIX_BYTES + headerLength > bytes.byteLength) fail('it ends inside its header');

  const { sections: table, ...header } = parseHeader(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerLength), fail);
  if (!Array.isArray(table) || table.length > MAX_SECTIONS) return fail(`"sections" must list at most ${MAX_SECTIONS}`);

  const aligned = bytes.byteOffset % ALIGNMENT === 0;
  const sections: Record<string, Section> = Object.create(null);
  let offset = align(PREFIX_BYTES + headerLength);
  for (const entry of table as unknown[]) {
    const { name, type, length } = (entry ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || name === '' || name in sections) fail('every section needs a name of its own');
    if (!Object.hasOwn(SECTION_TYPES, type as string)) fail(`section "${name}" has the unknown type "${String(type)}"`);
    if (!Number.isSafeInteger(length) || (length as number) < 0) fail(`section "${name}" has no valid length`);
    const Type = SECTION_TYPES[type as SectionType];
    const end = offset + (length as number) * Type.BYTES_PER_ELEMENT;
    if (end > bytes.byteLength) fail(`section "${name}" runs past the end`);
    sections[name as string] = aligned
      ? new Type(bytes.buffer as ArrayBuffer, bytes.byteOffset + offset, length as number)
      : new Type(bytes.slice(offset, end).buffer as ArrayBuffer);
    offset = align(end);
  }
  if (offset !== align(bytes.byteLength)) fail(`${bytes.byteLength - offset} bytes follow the last section`);
  return { header, sections };
}

function parseHeader(bytes: Uint8Array, fail: (why: string) => never): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(utf8.decode(bytes));
  } catch {
    return fail('its header is not JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    return fail('its header is not an object');
  return header as Record<string, unknown>;
}

function typeOf(data: Section): SectionType {
  if (data instanceof Int32Array) return 'int32';
  return data instanceof Float32Array ? 'float32' : 'float16';
}

const align = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
