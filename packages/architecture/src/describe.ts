/** config.json -> description, by model_type. The one list of what is known. */
import type { ModelConfig } from './config-fields.ts';
import { FAMILIES, type Family, type ModelDescription } from './description.ts';
import { ArchitectureError } from './errors.ts';
import { describeGemma2, describeGemma3 } from './families/gemma.ts';
import { describeGpt2 } from './families/gpt2.ts';
import {
  describeLlama,
  describeMistral,
  describePhi3,
  describeQwen2,
  describeQwen3,
  describeSmolLm3,
} from './families/llama-like.ts';

const DESCRIBE: Readonly<Record<Family, (config: ModelConfig) => ModelDescription>> = {
  llama: describeLlama,
  smollm3: describeSmolLm3,
  mistral: describeMistral,
  qwen2: describeQwen2,
  qwen3: describeQwen3,
  gemma2: describeGemma2,
  gemma3_text: describeGemma3,
  phi3: describePhi3,
  gpt2: describeGpt2,
};

/** Undefined for a model_type that is not known. */
export function familyOf(config: ModelConfig): Family | undefined {
  return FAMILIES.find((family) => family === config.model_type);
}

/** Errors: ArchitectureError unsupported_architecture, naming the family or the feature | bad_config, naming the field. */
export function describeModel(config: ModelConfig): ModelDescription {
  const family = familyOf(config);
  if (!family) {
    const message = `model_type ${JSON.stringify(config.model_type)} is not known; known are ${FAMILIES.join(', ')}`;
    throw new ArchitectureError('unsupported_architecture', message);
  }
  return DESCRIBE[family](config);
}
