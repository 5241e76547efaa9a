/** What a receipt says of its own counts and of how the answer ended, before any model is asked. */
import { type Receipt, tokensOfRound } from '@forerunner/protocol';

/** A sentence about the first contradiction; null: there is none. */
export function contradiction(receipt: Receipt): string | null {
  for (const [i, { draft_token_ids, draft_probs, num_accepted_tokens }] of receipt.rounds.entries()) {
    const k = draft_token_ids.length;
    if (num_accepted_tokens > k) return `round ${i} is said to have kept ${num_accepted_tokens} of ${k} guesses`;
    if (draft_probs && draft_probs.length !== k)
      return `round ${i} has ${draft_probs.length} draft_probs for ${k} guesses`;
  }
  const isVerdict = receipt.verification === 'rejection' || receipt.verification === 'block';
  if (!isVerdict && receipt.rounds.some(({ draft_probs }) => draft_probs))
    return `"draft_probs" belong to rejection and block, and the rule is ${receipt.verification}`;
  if ((receipt.verification === 'greedy') !== (receipt.sampling.temperature === 0))
    return `the rule ${receipt.verification} does not go with a temperature of ${receipt.sampling.temperature}`;
  return contradictionOfEnd(receipt);
}

/** Whether a stop string ended the answer: only who has the tokenizer can check that. */
export function endedByStopString(receipt: Receipt): boolean {
  return receipt.finish_reason === 'stop' && !endsWithStopToken(receipt);
}

const tokensOf = ({ rounds }: Receipt): number[] => rounds.flatMap(tokensOfRound);

function endsWithStopToken(receipt: Receipt): boolean {
  const last = tokensOf(receipt)[receipt.num_output_tokens - 1];
  return last !== undefined && receipt.stop_token_ids.includes(last) && receipt.num_output_tokens > receipt.min_tokens;
}

function contradictionOfEnd(receipt: Receipt): string | null {
  const {
    num_output_tokens: numOutput,
    max_new_tokens: maxNew,
    min_tokens: minTokens,
    finish_reason: reason,
  } = receipt;
  const tokens = tokensOf(receipt);
  const numBefore = tokens.length - (receipt.rounds.length > 0 ? tokensOfRound(receipt.rounds.at(-1)!).length : 0);
  if (numOutput > tokens.length) return `the answer has ${numOutput} tokens, and the rounds gave ${tokens.length}`;
  if (numOutput <= numBefore && receipt.rounds.length > 0)
    return `the answer has ${numOutput} tokens, and ${numBefore} came before its last round`;
  if (numOutput > maxNew) return `the answer has ${numOutput} tokens, more than max_new_tokens (${maxNew})`;
  const early = tokens.findIndex((id, i) => i >= minTokens && receipt.stop_token_ids.includes(id));
  if (early >= 0 && early < numOutput - 1)
    return `token ${early} of the answer ends it, and ${numOutput} tokens stand in it`;
  if (reason === 'length' && numOutput !== maxNew)
    return `the answer ended for its length with ${numOutput} of ${maxNew} tokens`;
  if (endedByStopString(receipt) && receipt.stop.length === 0)
    return 'the answer is said to have stopped, with no token that ends it and no stop string';
  return null;
}
