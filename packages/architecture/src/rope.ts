/**
 * Rotary position embedding: which frequencies a configuration asks for. Formulas and defaults are those of transformers
 * (modeling_rope_utils.py), where the papers are named; both spellings of the configuration are read: rope_parameters
 * (transformers 5) and rope_theta with rope_scaling.
 */
import { type ModelConfig, optionalNumber, positiveInteger, positiveNumber, wrong } from './config-fields.ts';
import type { RopeDescription } from './description.ts';
import { ArchitectureError } from './errors.ts';

/** What config.json says about rotation, in one spelling: rope_type, rope_theta and the type's own parameters. */
export function ropeParametersOf(config: ModelConfig, theta: number): ModelConfig {
  const parameters = record(config.rope_parameters) ?? record(config.rope_scaling) ?? {};
  return {
    partial_rotary_factor: config.partial_rotary_factor,
    original_max_position_embeddings: config.original_max_position_embeddings,
    ...parameters,
    rope_theta: parameters.rope_theta ?? config.rope_theta ?? theta,
    rope_type: parameters.rope_type ?? parameters.type ?? 'default',
  };
}

/** `parameters` as ropeParametersOf gives them. Errors: ArchitectureError unsupported_architecture | bad_config. */
export function describeRope(parameters: ModelConfig, headDim: number, contextLength: number): RopeDescription {
  const theta = positiveNumber(parameters, 'rope_theta');
  const rotaryDim = Math.floor(headDim * positiveNumber(parameters, 'partial_rotary_factor', 1));
  const frequencies = Float64Array.from({ length: rotaryDim / 2 }, (_, pair) => theta ** ((-2 * pair) / rotaryDim));
  const type = parameters.rope_type;
  switch (type) {
    case 'default':
    case 'mrope': // the same for text
      return { inverseFrequencies: frequencies, attentionFactor: 1 };
    case 'linear': {
      const factor = positiveNumber(parameters, 'factor');
      return { inverseFrequencies: frequencies.map((frequency) => frequency / factor), attentionFactor: 1 };
    }
    case 'llama3':
      return { inverseFrequencies: llama3Frequencies(frequencies, parameters), attentionFactor: 1 };
    case 'yarn':
      return yarn(frequencies, theta, parameters, contextLength);
    default:
      throw new ArchitectureError(
        'unsupported_architecture',
        `rope_type ${JSON.stringify(type)} is not known (default, linear, llama3 and yarn are)`,
      );
  }
}

/** Long wavelengths are slowed down by `factor`, short ones are left alone, those between are interpolated. */
function llama3Frequencies(frequencies: Float64Array, parameters: ModelConfig): Float64Array {
  const factor = positiveNumber(parameters, 'factor');
  const low = positiveNumber(parameters, 'low_freq_factor');
  const high = positiveNumber(parameters, 'high_freq_factor');
  const oldLength = positiveInteger(parameters, 'original_max_position_embeddings');
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < oldLength / high) return frequency;
    if (wavelength > oldLength / low) return frequency / factor;
    const smooth = (oldLength / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

function yarn(
  frequencies: Float64Array,
  theta: number,
  parameters: ModelConfig,
  contextLength: number,
): RopeDescription {
  const oldLength = positiveInteger(parameters, 'original_max_position_embeddings', contextLength);
  const factor = positiveNumber(parameters, 'factor', contextLength / oldLength);
  const dim = 2 * frequencies.length;
  const dimOf = (numRotations: number) =>
    (dim * Math.log(oldLength / (numRotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const truncate = parameters.truncate !== false;
  const low = dimOf(positiveNumber(parameters, 'beta_fast', 32));
  const high = dimOf(positiveNumber(parameters, 'beta_slow', 1));
  const from = Math.max(truncate ? Math.floor(low) : low, 0);
  const to = Math.min(truncate ? Math.ceil(high) : high, dim - 1);
  const width = to === from ? 0.001 : to - from;
  const inverseFrequencies = frequencies.map((frequency, pair) => {
    const interpolated = Math.min(Math.max((pair - from) / width, 0), 1);
    return (frequency / factor) * interpolated + frequency * (1 - interpolated);
  });
  return { inverseFrequencies, attentionFactor: yarnAttentionFactor(parameters, factor) };
}

function yarnAttentionFactor(parameters: ModelConfig, factor: number): number {
  const given = optionalNumber(parameters, 'attention_factor');
  if (given !== undefined) return given;
  const scale = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
  const mscale = optionalNumber(parameters, 'mscale');
  const mscaleAllDim = optionalNumber(parameters, 'mscale_all_dim');
  return mscale !== undefined && mscaleAllDim !== undefined ? scale(mscale) / scale(mscaleAllDim) : scale(1);
}

function record(value: unknown): Record<string, unknown> | undefined {
  if (value == null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong('rope_scaling', value, 'an object');
}
