/** What a model service counts, asked of the engine when somebody scrapes. */
import type { EngineStats, PassObservation } from '@forerunner/engine';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const EVICTION_REASONS = ['budget', 'idle_ttl', 'cached_prefix'] as const;
/** Upper ends of the classes of a pass by its rows; bounded, so that labels are. */
const ROW_CLASSES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export function installEngineMetrics(registry: Registry, takeStats: () => Promise<EngineStats>): void {
  const registers = [registry];
  let underWay: Promise<void> | null = null;
  /** All metrics are read at the same time; one question to the engine serves them all. */
  const collect = () => {
    underWay ??= takeStats()
      .then(update, () => {}) // an engine that is gone is told by /readyz; what was last known stays
      .finally(() => {
        underWay = null;
      });
    return underWay;
  };
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers, collect });

  const sequences = gauge('forerunner_sequences', 'Sequences with a KV cache, idle or in use.');
  const bytes = gauge('forerunner_kv_cache_bytes', 'Bytes held by the KV caches of all sequences and cached prefixes.');
  const prefixes = gauge(
    'forerunner_cached_prefixes',
    'KV caches that freed sequences left for texts that begin alike.',
  );
  const prefixBytes = gauge(
    'forerunner_cached_prefix_bytes',
    'Bytes of forerunner_kv_cache_bytes that are cached prefixes: given up for sequences when memory is wanted.',
  );
  const budget = gauge('forerunner_kv_cache_budget_bytes', 'Most bytes that KV caches may hold (KV_CACHE_MB).');
  const depth = gauge('forerunner_queue_depth', 'Passes that wait for the model at the time of the scrape.');
  const requests = gauge(
    'forerunner_model_requests',
    'Requests under way or waiting in the engine (at most MAX_QUEUE).',
  );
  const evictions = new Counter({
    name: 'forerunner_kv_evictions_total',
    help: 'Evictions by reason: a sequence for memory (budget) or because SEQUENCE_TTL_S ran out (idle_ttl); a cached prefix for memory (cached_prefix).',
    labelNames: ['reason'],
    registers,
    collect,
  });
  const steps = new Histogram({
    name: 'forerunner_model_pass_seconds',
    help: 'Seconds of one pass of the model, by rows (new tokens of all its sequences): 1, 2, 4, ... 256 or +Inf at most.',
    labelNames: ['rows'],
    buckets: [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 4.096],
    registers,
    collect,
  });
  const costs = new Gauge({
    name: 'forerunner_model_pass_cost_seconds',
    help: 'What a pass of one sequence with so many rows and almost nothing cached is expected to take: measured at start, corrected by every pass since. Draft lengths are chosen by it.',
    labelNames: ['rows'],
    registers,
    collect,
  });
  const items = new Counter({
    name: 'forerunner_model_pass_sequences_total',
    help: 'Sequences over all passes; divided by forerunner_model_pass_seconds_count it is the mean batch size.',
    registers,
    collect,
  });
  const queries = new Counter({
    name: 'prefix_cache_queries_total',
    help: 'Tokens of new texts for which a cached prefix was looked for.',
    registers,
    collect,
  });
  const hits = new Counter({
    name: 'prefix_cache_hits_total',
    help: 'Tokens of new texts that were found in a cache and not computed. The denominator of the hit rate is prefix_cache_queries_total.',
    registers,
    collect,
  });
  const counted = { budget: 0, idle_ttl: 0, cached_prefix: 0, queries: 0, hits: 0 };
  for (const reason of EVICTION_REASONS) evictions.inc({ reason }, 0);

  const note = (pass: PassObservation) => {
    const rows = ROW_CLASSES.find((end) => pass.numTokens <= end) ?? '+Inf';
    steps.observe({ rows }, pass.durationMs / 1000);
    items.inc(pass.numItems);
  };
  const update = (stats: EngineStats) => {
    sequences.set(stats.numSequences);
    bytes.set(stats.kvBytes);
    budget.set(stats.kvBudgetBytes);
    depth.set(stats.queueDepth);
    requests.set(stats.numRequests);
    prefixes.set(stats.numCachedPrefixes);
    prefixBytes.set(stats.cachedPrefixBytes);
    queries.inc(grown(stats.prefixCacheTokens.queries, counted.queries));
    hits.inc(grown(stats.prefixCacheTokens.hits, counted.hits));
    Object.assign(counted, stats.prefixCacheTokens);
    for (const reason of EVICTION_REASONS) {
      evictions.inc({ reason }, grown(stats.numEvictions[reason], counted[reason]));
      counted[reason] = stats.numEvictions[reason];
    }
    stats.passes.forEach(note);
    for (const [i, rows] of stats.passCosts.rows.entries()) costs.set({ rows }, stats.passCosts.ms[i]! / 1000);
  };
}

/** What a count has grown by; an engine that was opened again counts from 0. */
const grown = (now: number, before: number): number => (now < before ? now : now - before);
