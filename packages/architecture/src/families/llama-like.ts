/** llama, smollm3, mistral, qwen2, qwen3, phi3: they differ in windows, layers without rope, and in weights. */
import { flag, type ModelConfig, optionalNumber, perLayer, positiveInteger } from '../config-fields.ts';
import type { ModelDescription } from '../description.ts';
import { describeRmsDecoder, isSliding, withWindows } from './rms-decoder.ts';

export function describeLlama(config: ModelConfig): ModelDescription {
  return describeRmsDecoder(config, 'llama', { theta: 10_000, contextLength: 2_048 });
}

/** Layers whose entry in no_rope_layers is 0 have no rope, every fourth one where the list is missing. */
export function describeSmolLm3(config: ModelConfig): ModelDescription {
  const defaults = { theta: 2_000_000, contextLength: 32_768, numHeads: 16, numKvHeads: 4, tiedEmbeddings: true };
  const model = describeRmsDecoder(config, 'smollm3', defaults);
  const interval = positiveInteger(config, 'no_rope_layer_interval', 4);
  const given = perLayer<number>(config, 'no_rope_layers', model.numLayers);
  const hasRope = (layer: number) => (given ? given[layer] !== 0 : (layer + 1) % interval !== 0);
  const window = flag(config, 'use_sliding_window', false) ? optionalNumber(config, 'sliding_window') : undefined;
  const layerTypes = perLayer<string>(config, 'layer_types', model.numLayers);
  const layers = withWindows(
    model.layers,
    window,
    isSliding(layerTypes, (layer) => !hasRope(layer)),
  );
  return { ...model, layers: layers.map(({ rope, ...rest }, i) => ({ ...rest, ...(rope && hasRope(i) && { rope }) })) };
}

export function describeMistral(config: ModelConfig): ModelDescription {
  const model = describeRmsDecoder(config, 'mistral', { theta: 10_000, contextLength: 131_072, numKvHeads: 8 });
  // Null says that there is none; a missing field is transformers' default.
  const window = config.sliding_window === undefined ? 4_096 : optionalNumber(config, 'sliding_window');
  return { ...model, layers: withWindows(model.layers, window, () => true) };
}

export function describeQwen2(config: ModelConfig): ModelDescription {
  return withQwenWindows(config, describeRmsDecoder(config, 'qwen2', { theta: 10_000, contextLength: 32_768 }));
}

export function describeQwen3(config: ModelConfig): ModelDescription {
  const defaults = { theta: 10_000, contextLength: 32_768, headDim: 128 };
  return withQwenWindows(config, describeRmsDecoder(config, 'qwen3', defaults));
}

export function describePhi3(config: ModelConfig): ModelDescription {
  const model = describeRmsDecoder(config, 'phi3', { theta: 10_000, contextLength: 4_096, epsilon: 1e-5 });
  return { ...model, layers: withWindows(model.layers, optionalNumber(config, 'sliding_window'), () => true) };
}

/** Layers from max_window_layers on, and only where use_sliding_window says so. */
function withQwenWindows(
  config: ModelConfig,
  model: ModelDescription & { readonly numLayers: number },
): ModelDescription {
  const window = flag(config, 'use_sliding_window', false) ? optionalNumber(config, 'sliding_window') : undefined;
  const firstWindow = window === undefined ? 0 : positiveInteger(config, 'max_window_layers', 28);
  const layerTypes = perLayer<string>(config, 'layer_types', model.numLayers);
  return {
    ...model,
    layers: withWindows(
      model.layers,
      window,
      isSliding(layerTypes, (layer) => layer >= firstWindow),
    ),
  };
}
