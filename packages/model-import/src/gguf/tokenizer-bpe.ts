/** Byte-pair vocabularies (gpt2 and its heirs) → tokenizer.json. How a text is split first depends on the model. */
import { addedTokens, bosTemplate, refuse, type Vocabulary, vocabOf } from './vocabulary.ts';

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

const splitBy = (regex: string) => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, byteLevel(false)],
});

/** The pattern of GPT-4, with digits by `digits`. */
const words = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

interface Splitting {
  readonly preTokenizer: object;
  readonly normalizer?: object;
  /** A word that is a token of its own is not built from merges. */
  readonly ignoreMerges?: boolean;
}

/** By tokenizer.ggml.pre. */
const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  'gpt-2': { preTokenizer: byteLevel(true) },
  smollm: {
    preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
  },
  'llama-bpe': { preTokenizer: splitBy(words('\\p{N}{1,3}')), ignoreMerges: true },
  qwen2: { preTokenizer: splitBy(words('\\p{N}')), normalizer: { type: 'NFC' } },
};

/** Errors: ImportError unsupported_tokenizer, naming the way of splitting that is not known. */
export function bytePairTokenizer(vocabulary: Vocabulary) {
  const { metadata } = vocabulary;
  const pre = String(metadata.get('tokenizer.ggml.pre') ?? 'gpt-2');
  const splitting = Object.hasOwn(SPLITTINGS, pre) ? SPLITTINGS[pre] : undefined;
  if (!splitting) return refuse(`tokenizer.ggml.pre "${pre}" is not known; ${Object.keys(SPLITTINGS).join(', ')} are`);
  const merges = metadata.get('tokenizer.ggml.merges');
  if (!Array.isArray(merges)) return refuse('the vocabulary has no merges');
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: splitting.normalizer ?? null,
    pre_tokenizer: splitting.preTokenizer,
    post_processor: bosTemplate(vocabulary),
    decoder: { ...byteLevel(true), add_prefix_space: true }, // as published; a decoder reads no spaces
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: splitting.ignoreMerges ?? false,
      vocab: vocabOf(vocabulary),
      merges,
    },
  };
}
