/** The vocabulary in GGUF metadata, and the parts of tokenizer.json that every kind of tokenizer has. */
import { ImportError } from '../errors.ts';
import type { Metadata } from './file.ts';

export interface Vocabulary {
  readonly tokens: readonly string[];
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly types: readonly number[];
  readonly metadata: Metadata;
  /** Text of a token that metadata names by id: 'bos', 'eos', 'unknown', 'padding'. */
  special(which: string): string | undefined;
  /** Whether the front of a text gets the beginning-of-sequence token. */
  readonly addsBos: boolean;
}

/** Errors: ImportError unsupported_tokenizer. */
export function refuse(message: string): never {
  throw new ImportError('unsupported_tokenizer', message);
}

export function vocabularyOf(metadata: Metadata): Vocabulary {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (!Array.isArray(tokens)) return refuse('the file has no vocabulary');
  const types = metadata.get('tokenizer.ggml.token_type');
  const special = (which: string) => {
    const id = metadata.get(`tokenizer.ggml.${which}_token_id`);
    return typeof id === 'number' ? (tokens[id] as string | undefined) : undefined;
  };
  return {
    tokens: tokens as string[],
    types: Array.isArray(types) ? (types as number[]) : tokens.map(() => 1),
    metadata,
    special,
    // llama.cpp: SentencePiece adds it unless it is told not to, byte pairs only where they are told to.
    addsBos: Boolean(metadata.get('tokenizer.ggml.add_bos_token') ?? metadata.get('tokenizer.ggml.model') === 'llama'),
  };
}

const CONTROL = 3;
const USER_DEFINED = 4;

/** Tokens that are found in a text before it is split. */
export function addedTokens({ tokens, types }: Vocabulary, isAlsoAdded: (token: string) => boolean = () => false) {
  return tokens.flatMap((content, id) => {
    const special = types[id] === CONTROL || isAlsoAdded(content);
    if (!special && types[id] !== USER_DEFINED) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

/** id of each token; a token that occurs twice has its first one. */
export function vocabOf({ tokens }: Vocabulary): Record<string, number> {
  const vocab: Record<string, number> = Object.create(null) as Record<string, number>;
  for (const [id, token] of tokens.entries()) vocab[token] ??= id;
  return vocab;
}

/** Puts the beginning-of-sequence token in front, where the vocabulary asks for it. */
export function bosTemplate(vocabulary: Vocabulary) {
  const bos = vocabulary.special('bos');
  if (!vocabulary.addsBos || bos === undefined) return null;
  const token = { SpecialToken: { id: bos, type_id: 0 } };
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [token, sequence('A', 0)],
    pair: [token, sequence('A', 0), token, sequence('B', 1)],
    special_tokens: { [bos]: { id: bos, ids: [vocabulary.tokens.indexOf(bos)], tokens: [bos] } },
  };
}
