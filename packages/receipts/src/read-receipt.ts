/** From a file to a receipt that can be replayed: a receipt by itself, or a reply or stream that has one in it. */
import { parseOrThrow, type Receipt, receiptSchema, tokenIdsSha256 } from '@forerunner/protocol';
import { ReplayError } from './replay-error.ts';

export type PromptedReceipt = Receipt & { readonly promptTokenIds: Int32Array };

/** Errors: ReplayError bad_receipt, naming field, bound and value. */
export function parseReceipt(text: string, choice = 0): Receipt {
  const found = valuesIn(text)
    .map((value) => receiptIn(value, choice))
    .find((receipt) => receipt !== undefined);
  if (found === undefined) {
    const how = '"receipt": true in the request, on the OpenAI routes "forerunner": {"receipt": true}';
    throw new ReplayError('bad_receipt', `no receipt in it of choice ${choice}: ${how}`);
  }
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

/** The JSON that a file holds: one value, or the data of each event of a stream. Errors: ReplayError bad_receipt. */
function valuesIn(text: string): unknown[] {
  const events = [...text.matchAll(/^data: ?(\{.*\})\r?$/gm)].map(([, data]) => data!);
  try {
    return (events.length > 0 ? events : [text]).map((json) => JSON.parse(json) as unknown);
  } catch (error) {
    throw new ReplayError('bad_receipt', `neither JSON nor a stream of events: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

interface Reply {
  readonly receipt?: unknown;
  readonly forerunner?: Reply;
  readonly response?: Reply;
  readonly choices?: readonly (Reply & { readonly index: number })[];
}

/** A receipt itself, or that of a reply or of an event: of /generate, of /v1/responses, or of a choice. */
function receiptIn(value: unknown, choice: number): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if ('format' in value) return value;
  const { receipt, forerunner, response, choices } = value as Reply;
  const chosen = Array.isArray(choices) ? choices.find(({ index }) => index === choice) : undefined;
  return receipt ?? forerunner?.receipt ?? response?.forerunner?.receipt ?? chosen?.forerunner?.receipt;
}
