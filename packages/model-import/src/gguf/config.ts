/** GGUF metadata → config.json of transformers. What the format does not say is what llama.cpp has in code. */
import type { Family } from '@forerunner/architecture';
import { ImportError } from '../errors.ts';
import type { Metadata } from './file.ts';

/** general.architecture → model_type. */
const FAMILY_OF: Readonly<Record<string, Family>> = {
  llama: 'llama', // and mistral, whose window the converter drops
  smollm3: 'smollm3',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma2: 'gemma2',
  gemma3: 'gemma3_text',
  phi3: 'phi3',
  gpt2: 'gpt2',
};

export interface GgufModel {
  readonly family: Family;
  readonly config: Record<string, unknown>;
}

/** `vocabSize`: rows of the embedding; `isTied`: there is no head of its own. Errors: ImportError bad_checkpoint. */
export function configOf(metadata: Metadata, vocabSize: number, isTied: boolean): GgufModel {
  const architecture = String(metadata.get('general.architecture'));
  const family = Object.hasOwn(FAMILY_OF, architecture) ? FAMILY_OF[architecture] : undefined;
  if (!family) {
    const known = Object.keys(FAMILY_OF).join(', ');
    throw new ImportError('bad_checkpoint', `architecture "${architecture}" is not known; known are ${known}`);
  }
  const fields = new Fields(metadata, architecture);
  const common = {
    model_type: family,
    vocab_size: vocabSize,
    tie_word_embeddings: isTied,
    bos_token_id: fields.tokenId('bos'),
    eos_token_id: eosTokenIds(fields),
    pad_token_id: fields.tokenId('padding'),
  };
  return { family, config: { ...common, ...(family === 'gpt2' ? gpt2(fields) : decoder(fields, family)) } };
}

/** The end of a turn ends an answer too. */
function eosTokenIds(fields: Fields): number | number[] | undefined {
  const ids = ['eos', 'eot'].map((which) => fields.tokenId(which)).filter((id) => id !== undefined);
  const distinct = [...new Set(ids)];
  return distinct.length > 1 ? distinct : distinct[0];
}

function gpt2(fields: Fields) {
  return {
    n_positions: fields.number('context_length'),
    n_embd: fields.number('embedding_length'),
    n_inner: fields.number('feed_forward_length'),
    n_layer: fields.number('block_count'),
    n_head: fields.number('attention.head_count'),
    layer_norm_epsilon: fields.number('attention.layer_norm_epsilon'),
  };
}

function decoder(fields: Fields, family: Family) {
  const [hidden, numHeads] = [fields.number('embedding_length'), fields.number('attention.head_count')];
  const headDim =
    fields.optional('attention.key_length') ?? fields.optional('rope.dimension_count') ?? hidden / numHeads;
  const window = fields.optional('attention.sliding_window');
  return {
    hidden_size: hidden,
    intermediate_size: fields.number('feed_forward_length'),
    num_hidden_layers: fields.number('block_count'),
    num_attention_heads: numHeads,
    num_key_value_heads: fields.optional('attention.head_count_kv') ?? numHeads,
    head_dim: headDim,
    max_position_embeddings: fields.number('context_length'),
    rms_norm_eps: fields.number('attention.layer_norm_rms_epsilon'),
    ...rope(fields, family),
    ...(window !== undefined && { sliding_window: window }),
    ...(family.startsWith('gemma') && gemma(fields, family, hidden / numHeads, headDim)),
  };
}

/** The largest model of each has another scale, which the format does not say. */
const GEMMA_LAYERS_SCALED_BY_WIDTH = { gemma2: 46, gemma3_text: 62 };

function gemma(fields: Fields, family: Family, widthOfHead: number, headDim: number) {
  const byWidth = fields.number('block_count') === GEMMA_LAYERS_SCALED_BY_WIDTH[family as 'gemma2'];
  return {
    query_pre_attn_scalar: byWidth ? widthOfHead : headDim,
    attn_logit_softcapping: fields.optional('attn_logit_softcapping') ?? null,
    final_logit_softcapping: fields.optional('final_logit_softcapping') ?? null,
  };
}

function rope(fields: Fields, family: Family) {
  const theta = fields.optional('rope.freq_base');
  const local =
    family === 'gemma3_text' ? { rope_local_base_freq: fields.optional('rope.freq_base_swa') ?? 10_000 } : {};
  const type = fields.text('rope.scaling.type');
  const known = { ...local, ...(theta !== undefined && { rope_theta: theta }) };
  if (type === undefined || type === 'none') return known;
  const scaling = {
    rope_type: type, // linear and yarn are called alike; another one is refused by name
    factor: fields.number('rope.scaling.factor'),
    original_max_position_embeddings: fields.optional('rope.scaling.original_context_length'),
  };
  return { ...known, rope_scaling: scaling };
}

/** Metadata of the architecture. */
class Fields {
  readonly #metadata: Metadata;
  readonly #architecture: string;

  constructor(metadata: Metadata, architecture: string) {
    this.#metadata = metadata;
    this.#architecture = architecture;
  }

  optional(key: string): number | undefined {
    const value = this.#metadata.get(`${this.#architecture}.${key}`);
    return typeof value === 'number' ? value : undefined;
  }

  number(key: string): number {
    const value = this.optional(key);
    if (value !== undefined) return value;
    throw new ImportError('bad_checkpoint', `the metadata has no number ${this.#architecture}.${key}`);
  }

  text(key: string): string | undefined {
    const value = this.#metadata.get(`${this.#architecture}.${key}`);
    return typeof value === 'string' ? value : undefined;
  }

  tokenId(which: string): number | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${which}_token_id`);
    return typeof value === 'number' ? value : undefined;
  }
}
