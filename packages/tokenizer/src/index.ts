export { spellBytes } from './byte-level.ts';
export { type Chat, ChatTemplateError, type ChatTurn } from './chat-template.ts';
export { tokenizerFingerprint } from './fingerprint.ts';
export { IncrementalDecoder } from './incremental-decoder.ts';
export { Tokenizer } from './tokenizer.ts';
