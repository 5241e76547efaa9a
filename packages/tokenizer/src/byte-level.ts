/**
 * Byte-level vocabularies (GPT-2 and its many heirs) spell every byte as one printable character. This reads the
 * spelling back, and writes it. Knows nothing of tokenizers that spell differently: for those it answers null.
 */

/** Bytes that are their own Latin-1 character; the others are spelled U+0100, U+0101, ... in order. */
const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

const BYTE_OF_CHARACTER = new Map<string, number>();
const CHARACTER_OF_BYTE: string[] = [];
let numSpelled = 0;
for (let byte = 0; byte < 256; byte++) {
  const character = String.fromCharCode(isPrintable(byte) ? byte : 0x100 + numSpelled++);
  CHARACTER_OF_BYTE.push(character);
  BYTE_OF_CHARACTER.set(character, byte);
}

/** null when a character is no spelling of a byte. */
export function bytesOfByteLevelToken(spelled: string): Uint8Array | null {
  const bytes = new Uint8Array(spelled.length);
  for (let i = 0; i < spelled.length; i++) {
    const byte = BYTE_OF_CHARACTER.get(spelled[i]!);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

/** The other way: any bytes as that spelling. */
export function spellBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => CHARACTER_OF_BYTE[byte]).join('');
}
