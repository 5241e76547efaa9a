/** The vocabulary in GGUF metadata → tokenizer.json and tokenizer_config.json, chat template included. */
import type { Metadata } from './file.ts';
import { bytePairTokenizer } from './tokenizer-bpe.ts';
import { sentencePieceTokenizer } from './tokenizer-spm.ts';
import { refuse, type Vocabulary, vocabularyOf } from './vocabulary.ts';

/** Errors: ImportError unsupported_tokenizer, naming the kind. */
export function tokenizerFilesOf(metadata: Metadata): Map<string, string> {
  const vocabulary = vocabularyOf(metadata);
  const kind = metadata.get('tokenizer.ggml.model');
  const tokenizer =
    kind === 'gpt2'
      ? bytePairTokenizer(vocabulary)
      : kind === 'llama'
        ? sentencePieceTokenizer(vocabulary)
        : refuse(`tokenizer "${kind}" is not known; gpt2 (byte pairs) and llama (SentencePiece) are`);
  return new Map([
    ['tokenizer.json', `${JSON.stringify(tokenizer)}\n`],
    ['tokenizer_config.json', `${JSON.stringify(tokenizerConfig(vocabulary, kind), null, 1)}\n`],
  ]);
}

function tokenizerConfig({ special, metadata, addsBos }: Vocabulary, kind: unknown) {
  const template = metadata.get('tokenizer.chat_template');
  return {
    tokenizer_class: kind === 'gpt2' ? 'GPT2Tokenizer' : 'LlamaTokenizer',
    bos_token: special('bos'),
    eos_token: special('eos'),
    pad_token: special('padding'),
    unk_token: special('unknown'),
    add_bos_token: addsBos,
    clean_up_tokenization_spaces: false,
    ...(typeof template === 'string' && { chat_template: template }),
  };
}
