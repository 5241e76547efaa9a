/** From a file to a receipt that can be replayed: a receipt by itself, or a reply that has one in it. */
import { parseOrThrow, type Receipt, receiptSchema, tokenIdsSha256 } from '@forerunner/protocol';
import { ReplayError } from './replay-error.ts';

export type PromptedReceipt = Receipt & { readonly promptTokenIds: Int32Array };

/** Errors: ReplayError bad_receipt, naming field, bound and value. */
export function parseReceipt(text: string, choice = 0): Receipt {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ReplayError('bad_receipt', `not JSON: ${(error as Error).message}`);
  }
  const found = findReceipt(json, choice);
  try {
    return parseOrThrow(receiptSchema, found);
  } catch (error) {
    throw new ReplayError('bad_receipt', `not a receipt: ${(error as Error).message}`, { cause: error });
  }
}

/** `given`: the prompt's token ids where the receipt does not hold them. Errors: ReplayError prompt_missing | bad_receipt. */
export function withPrompt(receipt: Receipt, given?: readonly number[]): PromptedReceipt {
  const { token_ids: own, num_tokens: numTokens, sha256 } = receipt.prompt;
  const tokenIds = given ?? own;
  if (!tokenIds) {
    const message = 'the receipt does not hold the prompt: give its token ids with --prompt-ids FILE (a JSON array)';
    throw new ReplayError('prompt_missing', message);
  }
  if (tokenIds.length !== numTokens || tokenIdsSha256(tokenIds) !== sha256) {
    const whose = given ? 'the given token ids' : '"prompt.token_ids"';
    const message = `${whose} (${tokenIds.length}) are not the ${numTokens} that "prompt.sha256" was made of`;
    throw new ReplayError('bad_receipt', message);
  }
  return { ...receipt, promptTokenIds: Int32Array.from(tokenIds) };
}

/** In a reply of /generate, of /v1/responses, or in a choice of the other OpenAI routes. */
function findReceipt(json: unknown, choice: number): unknown {
  const reply = json as {
    receipt?: unknown;
    forerunner?: { receipt?: unknown };
    choices?: { forerunner?: { receipt?: unknown } }[];
  } | null;
  if (typeof reply !== 'object' || reply === null) return json;
  if (Array.isArray(reply.choices)) {
    const found = reply.choices[choice]?.forerunner?.receipt;
    if (found !== undefined) return found;
    throw new ReplayError('bad_receipt', `choice ${choice} of the reply (of ${reply.choices.length}) has no receipt`);
  }
  return reply.receipt ?? reply.forerunner?.receipt ?? json;
}
