/** Counts the rounds of one answer: in the metrics of the service, and in the statistics of the answer's own reply. */
import type { DraftSource, VerificationRuleName } from '@forerunner/protocol';
import type { CoordinatorMetrics } from '../metrics.ts';
import { LostDraftClock } from './lost-draft-clock.ts';
import type { GenerationObserver, RoundRecord } from './round.ts';
import { GenerationStatistics } from './statistics.ts';

export class RoundObserver implements GenerationObserver {
  readonly statistics = new GenerationStatistics();
  readonly #metrics: CoordinatorMetrics;
  readonly #verification: VerificationRuleName;
  readonly #lostDraft = new LostDraftClock();

  constructor(metrics: CoordinatorMetrics, verification: VerificationRuleName) {
    this.#metrics = metrics;
    this.#verification = verification;
  }

  begin(numPromptTokens: number): void {
    this.#metrics.promptTokens.inc(numPromptTokens);
  }

  observe(round: RoundRecord): void {
    this.#metrics.scoreSeconds.observe(round.times.scoreMs / 1000);
    this.statistics.countOutput(round.tokens.length);
    this.#countForced(round);
    const { grammarMs } = round.times;
    if (grammarMs !== null) this.#metrics.grammarSeconds.observe(grammarMs / 1000);
    if (round.index === 0) {
      this.statistics.countPrompt(round); // its own pass is not counted as a round
      return;
    }
    this.#observeTimes(round);
    const verification = this.#verification;
    this.#metrics.verifiedRounds.inc({ verification });
    this.#metrics.roundBytes.inc({ verification }, round.numBytes);
    this.statistics.countRound(round);
    if (round.origin !== null && round.origin !== 'grammar') this.#countDraft(round, round.origin);
    else if (round.proposal !== 'none') this.#metrics.degradedRounds.inc();
  }

  #observeTimes(round: RoundRecord): void {
    const { proposeMs, roundMs } = round.times;
    this.#metrics.roundSeconds.observe(roundMs / 1000);
    this.#metrics.roundParts.add(round);
    this.#metrics.interTokenSeconds.observe(roundMs / 1000 / round.tokens.length);
    if (round.origin === 'draft') this.#metrics.proposeSeconds.observe(proposeMs / 1000);
    const recoveryMs = this.#lostDraft.observe(round);
    if (recoveryMs !== null) this.#metrics.draftRecoverySeconds.observe(recoveryMs / 1000);
  }

  #countForced({ numForcedTokens, numAcceptedForcedTokens }: RoundRecord): void {
    const { forcedTokens } = this.#metrics;
    forcedTokens.inc({ outcome: 'accepted' }, numAcceptedForcedTokens);
    forcedTokens.inc({ outcome: 'rejected' }, numForcedTokens - numAcceptedForcedTokens);
  }

  #countDraft({ numDraftTokens, numAcceptedTokens }: RoundRecord, source: DraftSource): void {
    const metrics = this.#metrics;
    metrics.numDrafts.inc({ source });
    metrics.numDraftTokens.inc({ source }, numDraftTokens);
    metrics.numAcceptedTokens.inc({ source }, numAcceptedTokens);
    for (let position = 0; position < numDraftTokens; position++) {
      metrics.numDraftTokensPerPos.inc({ source, position });
      if (position < numAcceptedTokens) metrics.numAcceptedTokensPerPos.inc({ source, position });
    }
  }
}
