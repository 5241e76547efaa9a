/**
 * Reads a causal-LM graph off its inputs, outputs and config.json: which tensor plays which part, and the public
 * GraphSignature. Knows the naming of onnxruntime-genai, Optimum and onnx-community exports; knows no session, so both
 * runners feed it what their runtime says.
 */
import { modelUnsupported } from '../errors.ts';
import type { FloatType, GraphSignature } from '../signature.ts';
import type { AttentionKind, ModelFiles } from './model-files.ts';

export interface TensorInfo {
  readonly name: string;
  /** 'float32', 'int64', ...: onnxruntime's names. */
  readonly type: string;
  /** A text is a symbolic size. */
  readonly shape: readonly (number | string)[];
}

export interface GraphInfo {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
}

/** The signature plus the names that a runner binds. */
export interface GraphBinding {
  readonly signature: GraphSignature;
  readonly attention: AttentionKind;
  readonly graphPath: string;
  /** Layer-major, key before value; same order and length in both lists. */
  readonly pastInputs: readonly string[]; // [2 * numLayers]
  readonly presentOutputs: readonly string[]; // [2 * numLayers]
  /** Element types of hidden states in and out, float32 where there are none. */
  readonly hiddenStatesInputType: FloatType;
  readonly hiddenStatesOutputType: FloatType;
}

const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
const KNOWN_INPUTS = new Set(['input_ids', 'attention_mask', 'position_ids', 'num_logits_to_keep']);

/** Errors: EngineError model_unsupported, naming the tensor or field that does not fit; model_not_found for d2t files. */
export function signatureFromGraph(graph: GraphInfo, files: ModelFiles): GraphBinding {
  const { config } = files;
  const inputs = new Map(graph.inputs.map((tensor) => [tensor.name, tensor]));
  const outputs = new Map(graph.outputs.map((tensor) => [tensor.name, tensor]));
  requireInt64(inputs, 'input_ids');
  const kv = kvLayout(graph, outputs, config);
  const logits = outputs.get('logits');
  if (!logits) throw modelUnsupported('the graph has no output named logits', { outputs: [...outputs.keys()] });
  const vocabSize = positiveInt(config, ['vocab_size']);
  const hiddenStatesInput = hiddenStatesInputOf(inputs, config);
  refuseUnknownInputs(graph, hiddenStatesInput?.input);
  const headSize = headSizeOf(logits, config, vocabSize);
  const draftToTarget = draftToTargetOf(config, files, headSize, vocabSize);
  const bosTokenId = optionalId(config, 'bos_token_id', vocabSize);
  const hiddenStatesOutput = hiddenStatesOutputOf(outputs, config);
  const signature: GraphSignature = {
    vocabSize,
    headSize,
    contextLength: positiveInt(config, ['max_position_embeddings', 'n_positions', 'max_seq_len']),
    eosTokenIds: eosTokenIds(config, vocabSize),
    numLayers: kv.numLayers,
    numKvHeads: kv.numKvHeads,
    headDim: kv.headDim,
    kvType: kv.type,
    logitsType: floatType(logits),
    hasPositionIds: inputs.has('position_ids'),
    hasAttentionMask: inputs.has('attention_mask'),
    ...(draftToTarget && { draftToTarget }),
    ...(bosTokenId !== undefined && { bosTokenId }),
    ...(inputs.has('num_logits_to_keep') && { numLogitsToKeepInput: 'num_logits_to_keep' }),
    ...(hiddenStatesOutput && { hiddenStatesOutput }),
    ...(hiddenStatesInput && { hiddenStatesInput }),
  };
  return {
    signature,
    attention: files.attention,
    graphPath: files.graphPath,
    pastInputs: kv.pastInputs,
    presentOutputs: kv.presentOutputs,
    hiddenStatesInputType: typeOf(hiddenStatesInput && inputs.get(hiddenStatesInput.input)),
    hiddenStatesOutputType: typeOf(hiddenStatesOutput && outputs.get(hiddenStatesOutput.output)),
  };
}

function kvLayout(graph: GraphInfo, outputs: Map<string, TensorInfo>, config: ModelFiles['config']) {
  const past = graph.inputs.filter((tensor) => PAST.test(tensor.name));
  if (past.length === 0) {
    throw modelUnsupported('the graph takes no past_key_values.*: export it with a KV cache', {
      inputs: graph.inputs.map((tensor) => tensor.name),
    });
  }
  const numLayers = past.length / 2;
  const pastInputs: string[] = [];
  const presentOutputs: string[] = [];
  for (let layer = 0; layer < numLayers; layer++) {
    for (const part of ['key', 'value']) {
      const input = `past_key_values.${layer}.${part}`;
      const output = `present.${layer}.${part}`;
      if (!past.some((tensor) => tensor.name === input)) throw modelUnsupported(`the graph lacks the input ${input}`);
      if (!outputs.has(output)) throw modelUnsupported(`the graph lacks the output ${output}`);
      pastInputs.push(input);
      presentOutputs.push(output);
    }
  }
  const [first] = past as [TensorInfo];
  const [, heads, , dim] = first.shape;
  if (first.shape.length !== 4 || typeof heads !== 'number' || heads < 1) {
    throw modelUnsupported(
      `${first.name} is not [batch, kv_heads, past, head_dim] with a fixed number of heads`,
      first,
    );
  }
  const headDim = typeof dim === 'number' && dim > 0 ? dim : headDimOf(config);
  for (const tensor of past) {
    const [, otherHeads, , otherDim] = tensor.shape;
    if (tensor.type !== first.type || otherHeads !== heads || (typeof otherDim === 'number' && otherDim !== headDim)) {
      throw modelUnsupported(`${tensor.name} differs in type or shape from ${first.name}`, { tensor, first });
    }
  }
  return { numLayers, numKvHeads: heads, headDim, type: floatType(first), pastInputs, presentOutputs };
}

function headDimOf(config: ModelFiles['config']): number {
  if (config.head_dim != null) return positiveInt(config, ['head_dim']);
  return positiveInt(config, ['hidden_size', 'n_embd']) / positiveInt(config, ['num_attention_heads', 'n_head']);
}

function headSizeOf(logits: TensorInfo, config: ModelFiles['config'], vocabSize: number): number {
  const declared = config.draft_vocab_size == null ? vocabSize : positiveInt(config, ['draft_vocab_size']);
  const width = logits.shape.at(-1);
  if (logits.shape.length !== 3 || (typeof width === 'number' && width > 0 && width !== declared)) {
    const shape = logits.shape.join(', ');
    throw modelUnsupported(`logits are [${shape}], config.json says that a row has ${declared} entries`, { declared });
  }
  return declared;
}

function draftToTargetOf(config: ModelFiles['config'], files: ModelFiles, headSize: number, vocabSize: number) {
  const name = config.draft_to_target;
  if (name == null) {
    if (headSize === vocabSize) return undefined;
    throw modelUnsupported(
      `the head has ${headSize} rows for ${vocabSize} tokens: config.json must name draft_to_target`,
    );
  }
  if (typeof name !== 'string') throw modelUnsupported('draft_to_target in config.json must be a file name', { name });
  const bytes = files.readSibling(name);
  if (bytes.length !== headSize * 4) {
    throw modelUnsupported(`${name} has ${bytes.length} bytes, not 4 for each of ${headSize} head rows`);
  }
  const ids = Int32Array.from({ length: headSize }, (_, row) => bytes.readInt32LE(row * 4));
  const wrong = ids.findIndex((id) => id < 0 || id >= vocabSize);
  if (wrong >= 0) throw modelUnsupported(`${name} maps row ${wrong} to ${ids[wrong]}, outside 0..${vocabSize - 1}`);
  return ids;
}

function hiddenStatesInputOf(inputs: Map<string, TensorInfo>, config: ModelFiles['config']) {
  const declared = config.draft_hidden_states as { input?: unknown; width?: unknown } | undefined;
  const input = typeof declared?.input === 'string' ? declared.input : 'features';
  const tensor = inputs.get(input);
  if (!tensor) {
    if (declared) throw modelUnsupported(`config.json declares draft_hidden_states, the graph has no input ${input}`);
    return undefined;
  }
  return { input, width: rowWidth(tensor, declared?.width) };
}

function hiddenStatesOutputOf(outputs: Map<string, TensorInfo>, config: ModelFiles['config']) {
  const declared = config.draft_hidden_states as { own_output?: unknown } | undefined;
  const output = typeof declared?.own_output === 'string' ? declared.own_output : 'hidden_states';
  const tensor = outputs.get(output);
  return tensor && { output, width: rowWidth(tensor, config.hidden_size) };
}

/** Width of a [batch, seq, width] float32 tensor. */
function rowWidth(tensor: TensorInfo, fallback: unknown): number {
  const width = typeof tensor.shape[2] === 'number' && tensor.shape[2] > 0 ? tensor.shape[2] : fallback;
  if (tensor.type !== 'float32' && tensor.type !== 'float16')
    throw modelUnsupported(`${tensor.name} is ${tensor.type}`);
  if (tensor.shape.length !== 3 || typeof width !== 'number') {
    throw modelUnsupported(`${tensor.name} is not [batch, seq, width] with a known width`, tensor);
  }
  return width;
}

function refuseUnknownInputs(graph: GraphInfo, hiddenStatesName: string | undefined): void {
  const unknown = graph.inputs
    .map((tensor) => tensor.name)
    .filter((name) => !KNOWN_INPUTS.has(name) && !PAST.test(name) && name !== hiddenStatesName);
  if (unknown.length > 0) throw modelUnsupported(`the graph wants inputs that no runner knows: ${unknown.join(', ')}`);
}

function requireInt64(inputs: Map<string, TensorInfo>, name: string): void {
  const tensor = inputs.get(name);
  if (!tensor) throw modelUnsupported(`the graph has no input ${name}`, { inputs: [...inputs.keys()] });
  if (tensor.type !== 'int64') throw modelUnsupported(`${name} is ${tensor.type}, not int64`);
}

const typeOf = (tensor: TensorInfo | undefined): FloatType => (tensor ? floatType(tensor) : 'float32');

function floatType(tensor: TensorInfo): FloatType {
  if (tensor.type === 'float32' || tensor.type === 'float16') return tensor.type;
  throw modelUnsupported(`${tensor.name} is ${tensor.type}; only float32 and float16 are supported`);
}

function eosTokenIds(config: ModelFiles['config'], vocabSize: number): number[] {
  const value = config.eos_token_id;
  const ids = Array.isArray(value) ? value : value == null ? [] : [value];
  for (const id of ids) requireId('eos_token_id', id, vocabSize);
  return ids as number[];
}

function optionalId(config: ModelFiles['config'], key: string, vocabSize: number): number | undefined {
  const value = config[key];
  if (value == null) return undefined;
  requireId(key, value, vocabSize);
  return value as number;
}

function requireId(key: string, value: unknown, vocabSize: number): void {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < vocabSize) return;
  throw modelUnsupported(`${key} in config.json is ${JSON.stringify(value)}, not a token id below ${vocabSize}`);
}

function positiveInt(config: ModelFiles['config'], keys: readonly string[]): number {
  for (const key of keys) {
    const value = config[key];
    if (value == null) continue;
    if (Number.isInteger(value) && (value as number) > 0) return value as number;
    throw modelUnsupported(`${key} in config.json is ${JSON.stringify(value)}, not a positive whole number`);
  }
  throw modelUnsupported(`config.json has no ${keys.join(' or ')}`);
}
