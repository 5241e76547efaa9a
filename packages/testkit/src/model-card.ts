/** A model card as a service would give it, for services that only pretend to have a model. */
import { type ModelCard, PROTOCOL_VERSION } from '@forerunner/protocol';

export function testCard(service: ModelCard['service'], change: Partial<ModelCard> = {}): ModelCard {
  return {
    protocol_version: PROTOCOL_VERSION,
    service,
    model_id: `test-${service}`,
    model_digest: 'd'.repeat(64),
    vocab_size: 16,
    tokenizer_fingerprint: 'f'.repeat(64),
    bos_token_id: null,
    eos_token_ids: [0],
    context_length: 256,
    max_batch_items: 8,
    runtime: 'test',
    runtime_version: '0',
    execution_provider: 'none',
    num_cpu_fallback_nodes: 0,
    num_threads: 1,
    fallbacks: [],
    numeric_regime: 'bit-exact',
    kv_cache_budget_bytes: 0,
    pass_costs: { rows: [1, 2, 32], ms: [10, 10, 25], ms_per_sequence: 0, ms_per_1024_cached_tokens: 1 },
    hidden_states_offered: null,
    hidden_states_wanted: null,
    draft_vocab_size: null,
    ...change,
  };
}
