/**
 * What replies about a sequence say beside their sections. Checked by hand: each round reads two of them, after passes of
 * models that left none of this code in the processor's caches, and a schema is much code for eight numbers.
 */
import { ServiceError } from './errors.ts';
import type { Timing } from './fields.ts';

export interface ReplyHeader {
  readonly sequence_id: string;
  /** Tokens in the service's cache now; of a proposal all of its tokens but the last are among them. */
  readonly cached_length: number;
  readonly vocab_size: number;
  /** Tokens of the request that a cached prefix spared the model. */
  readonly num_reused_tokens: number;
  readonly timing: Timing;
}

/** Errors: malformed_frame, naming field and value. */
export function readReplyHeader(message: Readonly<Record<string, unknown>>): ReplyHeader {
  const { sequence_id, num_reused_tokens = 0 } = message;
  if (typeof sequence_id !== 'string') fail('sequence_id', 'a text', sequence_id);
  const { queue_ms, model_ms, total_ms } = (message.timing ?? {}) as Record<string, unknown>;
  return {
    sequence_id,
    cached_length: wholeNumber('cached_length', message.cached_length),
    vocab_size: wholeNumber('vocab_size', message.vocab_size),
    num_reused_tokens: wholeNumber('num_reused_tokens', num_reused_tokens),
    timing: {
      queue_ms: finite('timing.queue_ms', queue_ms),
      model_ms: finite('timing.model_ms', model_ms),
      total_ms: finite('timing.total_ms', total_ms),
    },
  };
}

/** A field that need not be there. Errors: malformed_frame. */
export function optionalNumber(message: Readonly<Record<string, unknown>>, name: string): number | undefined {
  return message[name] === undefined ? undefined : wholeNumber(name, message[name]);
}

function wholeNumber(name: string, value: unknown): number {
  return Number.isSafeInteger(value) ? (value as number) : fail(name, 'a whole number', value);
}

function finite(name: string, value: unknown): number {
  return Number.isFinite(value) ? (value as number) : fail(name, 'a number', value);
}

function fail(name: string, what: string, value: unknown): never {
  throw new ServiceError('malformed_frame', `malformed frame: "${name}" must be ${what}, got ${JSON.stringify(value)}`);
}
