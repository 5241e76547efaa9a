/** What the coordinator counts. Names of the speculation counters are vLLM's, so that its dashboards and queries work. */
import { DRAFT_SOURCES } from '@forerunner/protocol';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Admission } from './admission.ts';
import { ROUND_PARTS, RoundParts } from './generation/round-parts.ts';
import type { DraftPool } from './pair/draft-pool.ts';

const RATIOS = [0.5, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2, 2.5, 3, 4, 6];
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type CoordinatorMetrics = ReturnType<typeof createMetrics>;

export function createMetrics(
  registry: Registry,
  /** `drafts` null: the pair has none, and does not miss them. */
  sources: { admission: Admission; drafts: Pick<DraftPool, 'isAvailable' | 'unavailableMs'> | null },
) {
  const registers = [registry];
  const counter = <T extends string = never>(name: string, help: string, labelNames: T[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string) => new Histogram({ name, help, buckets: SECONDS, registers });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });

  gauge('forerunner_requests_running', 'Requests being generated now.', () => sources.admission.numRunning);
  gauge('forerunner_requests_waiting', 'Requests waiting for a ticket now.', () => sources.admission.numWaiting);
  gauge(
    'forerunner_degraded',
    '1 while there is no draft that answers and fits: answers come from the target alone.',
    () => ((sources.drafts?.isAvailable ?? true) ? 0 : 1),
  );
  let countedSeconds = 0;
  new Counter({
    name: 'forerunner_degraded_seconds_total',
    help: 'Seconds without a draft that answers and fits, since the start.',
    registers,
    collect() {
      const seconds = (sources.drafts?.unavailableMs ?? 0) / 1000;
      this.inc(seconds - countedSeconds);
      countedSeconds = seconds;
    },
  });

  const roundParts = new RoundParts();
  new Counter({
    name: 'forerunner_round_part_seconds_total',
    help: 'Seconds of rounds after the prompt by part: passes of both models (draft_model, target_model), what went before them in the services (draft_queue, target_queue), what else the services did (draft_service, target_service), the rest of the calls (draft_trip, target_trip), and what the coordinator did between them (coordinator). Divide by forerunner_round_seconds_count for the anatomy of a round.',
    labelNames: ['part'],
    registers,
    collect() {
      this.reset();
      for (const part of ROUND_PARTS) this.inc({ part }, Math.max(0, roundParts.ms[part]) / 1000);
    },
  });

  /** One for each source of guesses: the draft, clients' predictions, the prompts and answers themselves. */
  const bySource = (name: string, help: string) => {
    const counts = counter(name, help, ['source']);
    for (const source of DRAFT_SOURCES) counts.inc({ source }, 0);
    return counts;
  };

  return {
    roundParts,
    numDrafts: bySource(
      'spec_decode_num_drafts_total',
      "Rounds in which the target checked at least one draft token, by who guessed it (source: draft, prediction: the client's own, lookup: the prompt and the answer so far). Denominator of accepted tokens per draft: mean acceptance length is 1 + accepted / drafts.",
    ),
    numDraftTokens: bySource(
      'spec_decode_num_draft_tokens_total',
      'Draft tokens that the target checked, by source. Denominator of the acceptance rate.',
    ),
    numAcceptedTokens: bySource(
      'spec_decode_num_accepted_tokens_total',
      'Draft tokens that the verification rule kept, by source. Numerator of the acceptance rate; the denominator is spec_decode_num_draft_tokens_total.',
    ),
    numDraftTokensPerPos: counter(
      'spec_decode_num_draft_tokens_per_pos_total',
      'Draft tokens that the target checked, by source and position in the proposal (0 is the first). Denominator of the acceptance rate by position: proposals that ended before a position made no guess there, and do not count.',
      ['source', 'position'],
    ),
    numAcceptedTokensPerPos: counter(
      'spec_decode_num_accepted_tokens_per_pos_total',
      'Draft tokens that the verification rule kept, by source and position in the proposal (0 is the first). Numerator of the acceptance rate by position; the denominator is spec_decode_num_draft_tokens_per_pos_total, not spec_decode_num_drafts_total, which counts guesses that were never made as refused.',
      ['source', 'position'],
    ),
    forcedTokens: counter(
      'forerunner_forced_tokens_total',
      'Tokens that a grammar left no choice about and the target checked, by outcome: accepted or rejected. Not among the draft tokens.',
      ['outcome'],
    ),
    requests: counter(
      'forerunner_requests_total',
      'Requests ended, by route and outcome; one with several choices is one, and ends as the first choice to fail.',
      ['route', 'outcome'],
    ),
    promptTokens: counter(
      'forerunner_prompt_tokens_total',
      'Tokens of prompts whose generation began; once for each choice of a request.',
    ),
    generatedTokens: counter('forerunner_generated_tokens_total', 'Tokens emitted in answers.'),
    degradedRounds: counter(
      'forerunner_degraded_rounds_total',
      'Rounds that wanted a draft and had none because no draft-service answered or one was caching the text again.',
    ),
    verifiedRounds: counter(
      'forerunner_verified_rounds_total',
      'Rounds after the prompt, by verification rule. Denominator of bytes per round.',
      ['verification'],
    ),
    roundBytes: counter(
      'forerunner_round_bytes_total',
      'Bytes of frames to and from draft- and target-service in rounds after the prompt, by verification rule. Divide by forerunner_verified_rounds_total for bytes per round.',
      ['verification'],
    ),
    roundSeconds: histogram('forerunner_round_seconds', 'One round: propose, score, verify. Seconds.'),
    predictedSpeedup: new Histogram({
      name: 'forerunner_predicted_speedup_ratio',
      help: 'Per answer: tokens per second that its planned rounds promised, over those of the target alone by its measured costs.',
      buckets: RATIOS,
      registers,
    }),
    achievedSpeedup: new Histogram({
      name: 'forerunner_achieved_speedup_ratio',
      help: 'Per answer: tokens per second after the first token, over those of the target alone by its measured costs.',
      buckets: RATIOS,
      registers,
    }),
    proposeSeconds: histogram(
      'forerunner_propose_seconds',
      'The draft-service part of a round, network included. Seconds.',
    ),
    grammarSeconds: histogram(
      'forerunner_grammar_seconds',
      'Waiting for the masks and forced tokens of one round, where answers must match something. Seconds.',
    ),
    scoreSeconds: histogram(
      'forerunner_score_seconds',
      'The target-service part of a round, network included. Seconds.',
    ),
    timeToFirstTokenSeconds: histogram(
      'forerunner_time_to_first_token_seconds',
      'From the start of a request (after its wait for a ticket) to its first token. Seconds.',
    ),
    interTokenSeconds: histogram(
      'forerunner_inter_token_seconds',
      'Time of a round divided by the tokens that it emitted, once per round. Seconds.',
    ),
    draftRecoverySeconds: histogram(
      'forerunner_draft_recovery_seconds',
      'From the first round of an answer that missed its draft to the next one that had it; the warming of the prompt is no miss. Seconds.',
    ),
    queueSeconds: histogram('forerunner_queue_seconds', 'Waiting for a ticket. Seconds.'),
  };
}

export function createTrafficCounter(registry: Registry): Counter<'peer' | 'direction'> {
  return new Counter({
    name: 'forerunner_peer_bytes_total',
    help: 'Bytes of frames between the coordinator and its peers (direction: sent, received). Prompts included; bytes per round are forerunner_round_bytes_total.',
    labelNames: ['peer', 'direction'],
    registers: [registry],
  });
}
