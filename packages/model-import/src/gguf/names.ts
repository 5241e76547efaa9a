/**
 * llama.cpp's names of tensors → transformers', and what its converter did to their values on the way, undone: rows of
 * queries and keys in another order (llama), one added to norms (gemma), products turned round (gpt2).
 */
import type { Family } from '@forerunner/architecture';

const LAYER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

const GEMMA_LAYER: Readonly<Record<string, string>> = {
  ...LAYER,
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};

/** Gate and up are one product, under the name of the latter. */
const PHI3_LAYER: Readonly<Record<string, string>> = { ...LAYER, ffn_up: 'mlp.gate_up_proj' };

const GPT2_LAYER: Readonly<Record<string, string>> = {
  attn_norm: 'ln_1',
  attn_qkv: 'attn.c_attn',
  attn_output: 'attn.c_proj',
  ffn_norm: 'ln_2',
  ffn_up: 'mlp.c_fc',
  ffn_down: 'mlp.c_proj',
};

const OUTER: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const GPT2_OUTER: Readonly<Record<string, string>> = {
  token_embd: 'wte',
  position_embd: 'wpe',
  output_norm: 'ln_f',
  output: 'lm_head',
};

/** A name that is not known stays as it is, and is refused later by that name. */
export function transformersName(family: Family, name: string): string {
  const isGpt2 = family === 'gpt2';
  const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (!part || !kind) return name;
  const outer = isGpt2 ? GPT2_OUTER : OUTER;
  const inner = isGpt2 ? GPT2_LAYER : family.startsWith('gemma') ? GEMMA_LAYER : family === 'phi3' ? PHI3_LAYER : LAYER;
  const table = layer === undefined ? outer : inner;
  const known = Object.hasOwn(table, part) ? table[part] : undefined;
  if (!known) return name;
  const prefix = layer === undefined ? '' : isGpt2 ? `h.${layer}.` : `model.layers.${layer}.`;
  return `${prefix}${known}.${kind}`;
}
