/** config.json of a model that also sees or hears keeps the language model's part under `text_config`. */
import type { ModelConfig } from './config-fields.ts';

/** Fields of the whole model that its text part may leave out. */
const OF_THE_WHOLE = ['architectures', 'eos_token_id', 'bos_token_id', 'tie_word_embeddings'];

/** The language model's configuration, flat: what `text_config` says, and what the whole says in addition. */
export function textConfigOf(config: ModelConfig): ModelConfig {
  const text = config.text_config;
  if (typeof text !== 'object' || text === null || Array.isArray(text)) return config;
  const whole = OF_THE_WHOLE.filter((key) => config[key] != null).map((key) => [key, config[key]]);
  return { ...Object.fromEntries(whole), ...withoutNulls(text as ModelConfig) };
}

const withoutNulls = (config: ModelConfig): ModelConfig =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
