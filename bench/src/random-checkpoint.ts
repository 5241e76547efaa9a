/** Checkpoints of random weights: bfloat16 safetensors of the llama family, with the tokenizer of the embedded model. */
import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '@forerunner/testkit';

export interface Shape {
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layers: number;
}

const VOCAB = 49_152;
const MAX_SHARD_BYTES = 2e9;
const CHUNK_VALUES = 4_194_304;

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Writes `folder`. Says nothing sensible. */
export function writeRandomCheckpoint(folder: string, shape: Shape, seed: number): void {
  mkdirSync(folder, { recursive: true });
  const shards = shardsOf(tensorsOf(shape));
  const random = seededRandom(seed);
  const weightMap: Record<string, string> = {};
  for (const [i, tensors] of shards.entries()) {
    const name = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
    writeShard(join(folder, name), tensors, random);
    for (const tensor of tensors) weightMap[tensor.name] = name;
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf(shape)));
  const tokenizer = join(import.meta.dirname, '..', '..', 'models', 'smollm2-135m-instruct-int8');
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tokenizer, file), join(folder, file));
}

function configOf({ hidden, intermediate, heads, kvHeads, headDim, layers }: Shape): object {
  return {
    ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5 },
    ...{ hidden_size: hidden, intermediate_size: intermediate, num_hidden_layers: layers, head_dim: headDim },
    ...{ num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: VOCAB, max_position_embeddings: 8192 },
    ...{ rope_theta: 500_000, tie_word_embeddings: true, bos_token_id: 1, eos_token_id: 2, torch_dtype: 'bfloat16' },
  };
}

function tensorsOf({ hidden, intermediate, heads, kvHeads, headDim, layers }: Shape): Tensor[] {
  const layer = (i: number): Tensor[] =>
    Object.entries({
      input_layernorm: [hidden],
      'self_attn.q_proj': [heads * headDim, hidden],
      'self_attn.k_proj': [kvHeads * headDim, hidden],
      'self_attn.v_proj': [kvHeads * headDim, hidden],
      'self_attn.o_proj': [hidden, heads * headDim],
      post_attention_layernorm: [hidden],
      'mlp.gate_proj': [intermediate, hidden],
      'mlp.up_proj': [intermediate, hidden],
      'mlp.down_proj': [hidden, intermediate],
    }).map(([name, shape]) => ({ name: `model.layers.${i}.${name}.weight`, shape }));
  return [
    { name: 'model.embed_tokens.weight', shape: [VOCAB, hidden] },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    { name: 'model.norm.weight', shape: [hidden] },
  ];
}

const bytesOf = ({ shape }: Tensor): number => 2 * shape.reduce((product, dim) => product * dim, 1);

function shardsOf(tensors: readonly Tensor[]): Tensor[][] {
  const shards: Tensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    if (bytes + bytesOf(tensor) > MAX_SHARD_BYTES) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += bytesOf(tensor);
  }
  return shards;
}

/** Header length, header, then the tensors in order. */
function writeShard(path: string, tensors: readonly Tensor[], random: () => number): void {
  const header: Record<string, object> = {};
  let end = 0;
  for (const tensor of tensors) {
    const start = end;
    end += bytesOf(tensor);
    header[tensor.name] = { dtype: 'BF16', shape: tensor.shape, data_offsets: [start, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, text]));
  for (const tensor of tensors) {
    for (let left = bytesOf(tensor) / 2; left > 0; left -= CHUNK_VALUES) {
      const count = Math.min(left, CHUNK_VALUES);
      const values = tensor.shape.length === 1 ? new Uint16Array(count).fill(ONE) : randomValues(count, random);
      writeSync(file, new Uint8Array(values.buffer));
    }
  }
  closeSync(file);
}

/** 1 in bfloat16: of norms. */
const ONE = 0x3f80;

/** Even between -0.03 and 0.03, the spread of a layer this wide; bfloat16 is the upper half of float32. */
function randomValues(count: number, random: () => number): Uint16Array {
  const floats = new Float32Array(count);
  for (let i = 0; i < count; i++) floats[i] = (random() - 0.5) * 0.06;
  const halves = new Uint16Array(floats.buffer);
  return Uint16Array.from({ length: count }, (_, i) => halves[2 * i + 1]!);
}
