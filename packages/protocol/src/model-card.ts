/** GET /v1/model: what a service serves, so that another can tell whether they fit. */
import { z } from 'zod';
import { passCostsSchema } from './pass-costs.ts';

const hiddenStatesOffer = z.object({ name: z.string(), width: z.int(), dtype: z.literal('float16') });

export const modelCardSchema = z.object({
  protocol_version: z.int(),
  service: z.enum(['draft-service', 'target-service']),
  model_id: z.string(),
  /** SHA-256 over the model's graph and configuration: changes when the model does. */
  model_digest: z.string(),
  vocab_size: z.int(),
  /** Over the tokenizer's content (vocabulary, merges, special tokens), not its width. */
  tokenizer_fingerprint: z.string(),
  bos_token_id: z.int().nullable(),
  eos_token_ids: z.array(z.int()),
  context_length: z.int(),
  /** Most sequences that really share a pass. */
  max_batch_items: z.int(),
  runtime: z.string(),
  runtime_version: z.string(),
  /** The execution provider really in use. */
  execution_provider: z.string(),
  /** Graph nodes that the provider left to the CPU; null where the runtime does not tell. */
  num_cpu_fallback_nodes: z.int().nullable(),
  num_threads: z.int(),
  /** What the settings ask for and the service does not use, and what it uses instead; the log warned of each. */
  fallbacks: z.array(z.object({ wanted: z.string(), used: z.string(), reason: z.string() })),
  /** bit-exact: rows are equal to the last bit for every pass shape tried at start; tolerance: they are not. */
  numeric_regime: z.enum(['bit-exact', 'tolerance']),
  kv_cache_budget_bytes: z.number(),
  /** As they are now: measured at start, corrected by every pass since. */
  pass_costs: passCostsSchema,
  /** What a target can give to a draft. */
  hidden_states_offered: hiddenStatesOffer.nullable(),
  /** What a draft wants from its target; `target_digest` is the model_digest it was trained for, where it says. */
  hidden_states_wanted: hiddenStatesOffer.extend({ target_digest: z.string().nullable() }).nullable(),
  /** Rows of a draft's head, where it is smaller than the vocabulary. */
  draft_vocab_size: z.int().nullable(),
});
export type ModelCard = z.output<typeof modelCardSchema>;
