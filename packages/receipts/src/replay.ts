/** Holds a receipt against a target: every token of the answer is computed again, up to the first that does not hold. */

import { samplingParams } from '@forerunner/model-service/sampling-params';
import { type ModelCard, type Receipt, type ReceiptRound, tokensOfRound } from '@forerunner/protocol';
import { Sampler } from '@forerunner/sampling';
import { checkRound } from './check-round.ts';
import { contradiction, endedByStopString } from './consistency.ts';
import type { Difference, Finding } from './findings.ts';
import type { PromptedReceipt } from './read-receipt.ts';
import { ReplayError } from './replay-error.ts';

/** Largest margin that counts as a tie of the arithmetic where that is not the same to the last bit. */
const NEAR_TIE = 1e-2;

export interface ReplayReport {
  readonly outcome: 'holds' | 'does_not_hold' | 'cannot_tell';
  /** One sentence. */
  readonly reason: string;
  /** Tokens that the rounds gave; of them recomputed, within the support, and not checked. */
  readonly num_tokens: number;
  readonly num_recomputed: number;
  readonly num_supported: number;
  readonly num_not_checked: number;
  /** What was not checked, and why. */
  readonly not_checked: readonly string[];
  readonly difference: PlacedDifference | null;
  /** Differences that the tolerance allows. */
  readonly near_ties: readonly PlacedDifference[];
  readonly tolerance: number;
}

export interface PlacedDifference extends Omit<Difference, 'kind'> {
  /** In the whole text, from 0; in the answer, from 0; and the round. */
  readonly position: number;
  readonly outputIndex: number;
  readonly round: number;
  readonly tokenId: number;
}

export interface RowSource {
  readonly card: ModelCard;
  rows(text: Int32Array, first: number): AsyncIterable<Float32Array>;
}

export interface ReplayOptions {
  /** Largest margin of a difference that is a near tie. Absent: 0 where both sides are bit-exact and alike, else 0.01. */
  readonly tolerance?: number | undefined;
}

/**
 * A target with another model than the receipt names is compared, too: what it says of the receipt is where the two models
 * part. Errors: ReplayError tokenizer_mismatch, and those of the target.
 */
export async function replay(
  receipt: PromptedReceipt,
  target: RowSource,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  checkTokenizer(receipt, target.card);
  const tally = new Tally(
    receipt,
    otherModel(receipt, target.card),
    options.tolerance ?? toleranceFor(receipt, target.card),
  );
  const wrong = contradiction(receipt);
  if (wrong) return tally.report('does_not_hold', `the receipt contradicts itself: ${wrong}`);
  const outOfRange = [...receipt.promptTokenIds, ...receipt.rounds.flatMap(tokensOfRound)].find(
    (id) => id >= target.card.vocab_size,
  );
  if (outOfRange !== undefined) return tally.refute(`the model has no token ${outOfRange}`);
  for await (const { findings, round, position } of checkedRounds(receipt, target)) {
    for (const [place, finding] of findings.entries()) {
      const where = {
        round,
        position: position + place,
        outputIndex: position + place - receipt.promptTokenIds.length,
      };
      if (tally.add(finding, where)) continue;
      return tally.refute(finding.kind === 'differs' ? finding.why : '');
    }
  }
  return tally.conclude();
}

/** Errors: ReplayError tokenizer_mismatch. */
function checkTokenizer({ target }: Receipt, card: ModelCard): void {
  const [theirs, ours] = [target.tokenizer_fingerprint, card.tokenizer_fingerprint];
  if (theirs === ours) return;
  const message = `"target.tokenizer_fingerprint" is ${theirs.slice(0, 12)}, this target's is ${ours.slice(0, 12)}: token ids mean other texts`;
  throw new ReplayError('tokenizer_mismatch', message);
}

/** A sentence where the target has another model than the receipt names; else null. */
function otherModel({ target }: Receipt, card: ModelCard): string | null {
  if (card.model_digest === target.model_digest) return null;
  const name = ({ model_id, model_digest }: { model_id: string; model_digest: string }) =>
    `"${model_id}" (${model_digest.slice(0, 12)})`;
  return `the receipt is of ${name(target)}, and this target has ${name(card)}`;
}

/** Rows may be equal to the last bit only where the same runtime computes them, and both sides found it bit-exact. */
function toleranceFor({ target }: Receipt, card: ModelCard): number {
  const isAlike = (['numeric_regime', 'runtime', 'runtime_version', 'execution_provider'] as const).every(
    (fact) => target[fact] === card[fact],
  );
  return isAlike && card.numeric_regime === 'bit-exact' ? 0 : NEAR_TIE;
}

/** Round by round, as rows come. */
async function* checkedRounds(receipt: PromptedReceipt, target: RowSource) {
  const { promptTokenIds: prompt, rounds, min_tokens: minTokens, stop_token_ids: stopTokenIds } = receipt;
  const outputStart = prompt.length;
  const text = Int32Array.from([...prompt, ...rounds.flatMap(tokensOfRound)]);
  const sampler = new Sampler(target.card.vocab_size);
  const params = samplingParams({ ...receipt.sampling, output_start: outputStart });
  const withoutEnd = { ...params, suppressTokens: [...params.suppressTokens, ...stopTokenIds] };
  const rows = target.rows(text.subarray(0, -1), outputStart - 1)[Symbol.asyncIterator]();
  try {
    for (let index = 0, position = outputStart; index < rounds.length; index++) {
      const round = rounds[index] as ReceiptRound;
      const numTokens = round.num_accepted_tokens + 1;
      const logits: Float32Array[] = [];
      while (logits.length < numTokens) logits.push((await rows.next()).value.slice());
      const findings = checkRound({
        rule: receipt.verification,
        seed: receipt.seed,
        round,
        position,
        tokenIds: text.subarray(0, position + numTokens),
        outputStart,
        params: position - outputStart < minTokens ? withoutEnd : params,
        structured: receipt.structured,
        sampler,
        logits: (place) => logits[place]!,
      });
      yield { findings, round: index, position };
      position += numTokens;
    }
  } finally {
    await rows.return?.(undefined);
  }
}

/** Counts findings, and says in the end what they amount to. */
class Tally {
  readonly #receipt: PromptedReceipt;
  readonly #otherModel: string | null;
  readonly #tolerance: number;
  readonly #counts = { recomputed: 0, supported: 0, not_checked: 0 };
  readonly #reasons = new Map<string, number>();
  readonly #nearTies: PlacedDifference[] = [];
  #difference: PlacedDifference | null = null;

  constructor(receipt: PromptedReceipt, otherModel: string | null, tolerance: number) {
    this.#receipt = receipt;
    this.#otherModel = otherModel;
    this.#tolerance = tolerance;
  }

  /** false: it does not hold. */
  add(finding: Finding, where: Pick<PlacedDifference, 'position' | 'outputIndex' | 'round'>): boolean {
    if (finding.kind !== 'differs') {
      this.#counts[finding.kind]++;
      if ('why' in finding) this.#reasons.set(finding.why, (this.#reasons.get(finding.why) ?? 0) + 1);
      return true;
    }
    const { kind: _, ...difference } = finding;
    const tokenId = this.#receipt.rounds.flatMap(tokensOfRound)[where.outputIndex]!;
    const placed = { ...difference, ...where, tokenId };
    if (finding.margin <= this.#tolerance && this.#tolerance > 0) {
      this.#nearTies.push(placed);
      return true;
    }
    this.#difference = placed;
    return false;
  }

  /** Something that this target's model would not have done. */
  refute(reason: string): ReplayReport {
    if (this.#otherModel) return this.report('cannot_tell', `${this.#otherModel}, with which ${reason}`);
    return this.report('does_not_hold', reason);
  }

  conclude(): ReplayReport {
    const numTokens = this.#receipt.rounds.flatMap(tokensOfRound).length;
    const numTies = this.#nearTies.length;
    if (numTies > 0) {
      return this.report('cannot_tell', `${numTies} of ${numTokens} tokens differ by no more than ${this.#tolerance}`);
    }
    const { recomputed } = this.#counts;
    if (recomputed === 0 && numTokens > 0) return this.report('cannot_tell', 'no token could be computed again');
    const rest = recomputed === numTokens ? '' : ', and nothing speaks against the others';
    const reason = `${recomputed} of ${numTokens} tokens are what this target gives${rest}`;
    if (this.#otherModel) return this.report('cannot_tell', `${this.#otherModel}; ${reason}`);
    return this.report('holds', reason);
  }

  report(outcome: ReplayReport['outcome'], reason: string): ReplayReport {
    const notChecked = [...this.#reasons].map(([why, count]) => `${count} ${count === 1 ? 'token' : 'tokens'}: ${why}`);
    if (endedByStopString(this.#receipt))
      notChecked.push('where the answer ended: a stop string is text, and a receipt holds tokens');
    return {
      outcome,
      reason,
      num_tokens: this.#receipt.rounds.flatMap(tokensOfRound).length,
      num_recomputed: this.#counts.recomputed,
      num_supported: this.#counts.supported,
      num_not_checked: this.#counts.not_checked,
      not_checked: notChecked,
      difference: this.#difference,
      near_ties: this.#nearTies,
      tolerance: this.#tolerance,
    };
  }
}
