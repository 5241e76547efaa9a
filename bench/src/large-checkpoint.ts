/**
 * `node bench/src/large-checkpoint.ts FOLDER [--layers N] [--seed N]`: a llama checkpoint of random weights, 2.97 billion
 * parameters (28 layers), in bfloat16 safetensors of 2 GB each, with the tokenizer of the embedded model. It says nothing
 * sensible; imports are timed and their memory measured with it.
 */
import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@forerunner/testkit';

const [HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, VOCAB] = [3072, 8192, 24, 8, 128, 49_152];
const MAX_SHARD_BYTES = 2e9;
const CHUNK_VALUES = 4_194_304;

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

function writeCheckpoint(folder: string, numLayers: number, seed: number): void {
  mkdirSync(folder, { recursive: true });
  const shards = shardsOf(tensorsOf(numLayers));
  const random = seededRandom(seed);
  const weightMap: Record<string, string> = {};
  for (const [i, tensors] of shards.entries()) {
    const name = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
    writeShard(join(folder, name), tensors, random);
    for (const tensor of tensors) weightMap[tensor.name] = name;
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf(numLayers)));
  const tokenizer = join(import.meta.dirname, '..', '..', 'models', 'smollm2-135m-instruct-int8');
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tokenizer, file), join(folder, file));
}

function configOf(numLayers: number): object {
  return {
    ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], hidden_act: 'silu', rms_norm_eps: 1e-5 },
    ...{ hidden_size: HIDDEN, intermediate_size: INTERMEDIATE, num_hidden_layers: numLayers, head_dim: HEAD_DIM },
    ...{ num_attention_heads: HEADS, num_key_value_heads: KV_HEADS, vocab_size: VOCAB, max_position_embeddings: 8192 },
    ...{ rope_theta: 500_000, tie_word_embeddings: true, bos_token_id: 1, eos_token_id: 2, torch_dtype: 'bfloat16' },
  };
}

function tensorsOf(numLayers: number): Tensor[] {
  const layer = (i: number): Tensor[] =>
    Object.entries({
      input_layernorm: [HIDDEN],
      'self_attn.q_proj': [HEADS * HEAD_DIM, HIDDEN],
      'self_attn.k_proj': [KV_HEADS * HEAD_DIM, HIDDEN],
      'self_attn.v_proj': [KV_HEADS * HEAD_DIM, HIDDEN],
      'self_attn.o_proj': [HIDDEN, HEADS * HEAD_DIM],
      post_attention_layernorm: [HIDDEN],
      'mlp.gate_proj': [INTERMEDIATE, HIDDEN],
      'mlp.up_proj': [INTERMEDIATE, HIDDEN],
      'mlp.down_proj': [HIDDEN, INTERMEDIATE],
    }).map(([name, shape]) => ({ name: `model.layers.${i}.${name}.weight`, shape }));
  return [
    { name: 'model.embed_tokens.weight', shape: [VOCAB, HIDDEN] },
    ...Array.from({ length: numLayers }, (_, i) => layer(i)).flat(),
    { name: 'model.norm.weight', shape: [HIDDEN] },
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

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { layers: { type: 'string', default: '28' }, seed: { type: 'string', default: '1' } },
});
const [dir] = positionals;
if (!dir) throw new Error('usage: node bench/src/large-checkpoint.ts FOLDER [--layers N] [--seed N]');
writeCheckpoint(dir, Number(values.layers), Number(values.seed));
