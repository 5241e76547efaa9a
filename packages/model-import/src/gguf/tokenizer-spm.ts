/**
 * SentencePiece vocabularies → tokenizer.json with a byte-pair model that does the same: pairs are merged in the order of
 * the score of what they make, as transformers' converter builds them (generate_merges).
 */
import { addedTokens, bosTemplate, refuse, type Vocabulary, vocabOf } from './vocabulary.ts';

const SPACE = '\u2581';
const BYTE = 6;

/** Errors: ImportError unsupported_tokenizer, when the vocabulary has no scores. */
export function sentencePieceTokenizer(vocabulary: Vocabulary) {
  const { metadata, tokens, types } = vocabulary;
  const scores = metadata.get('tokenizer.ggml.scores');
  if (!Array.isArray(scores)) return refuse('the vocabulary has no scores');
  const addsSpace = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const replaceSpaces = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  const decoders = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ];
  const unknown = vocabulary.special('unknown');
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary, (token) => token === unknown),
    normalizer: addsSpace
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: SPACE }, replaceSpaces] }
      : replaceSpaces,
    pre_tokenizer: null,
    post_processor: bosTemplate(vocabulary),
    decoder: { type: 'Sequence', decoders },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown ?? null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: types.includes(BYTE),
      ignore_merges: false,
      vocab: vocabOf(vocabulary),
      merges: mergesOf(tokens, scores as number[]),
    },
  };
}

/** Every way to make a token of two others: best scores first, of equal ones the longer left half. */
function mergesOf(tokens: readonly string[], scores: readonly number[]): [string, string][] {
  const ids = vocabIds(tokens);
  const merges: { pair: [string, string]; score: number; lengths: [number, number] }[] = [];
  for (const [token, id] of ids) {
    const characters = [...token];
    for (let cut = 1; cut < characters.length; cut++) {
      const pair: [string, string] = [characters.slice(0, cut).join(''), characters.slice(cut).join('')];
      if (!ids.has(pair[0]) || !ids.has(pair[1])) continue;
      merges.push({ pair, score: scores[id]!, lengths: [cut, characters.length - cut] });
    }
  }
  merges.sort((a, b) => b.score - a.score || b.lengths[0] - a.lengths[0] || b.lengths[1] - a.lengths[1]);
  return merges.map(({ pair }) => pair);
}

function vocabIds(tokens: readonly string[]): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) if (!ids.has(token)) ids.set(token, id);
  return ids;
}
