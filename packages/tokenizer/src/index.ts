export { spellBytes } from './byte-level.ts';
export { type Chat, ChatTemplateError, type ChatTurn } from './chat-template.ts';
export { tokenizerDifferences } from './differences.ts';
export { tokenizerFingerprint } from './fingerprint.ts';
export { IncrementalDecoder } from './incremental-decoder.ts';
export { TextEncodingError } from './stand-ins.ts';
export { hasChatTemplate } from './template-source.ts';
export { type DecodeOptions, type EncodeOptions, Tokenizer } from './tokenizer.ts';
