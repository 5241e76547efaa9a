/** The one table of error codes: code -> HTTP status. Codes are stable; messages may change. */
import { z } from 'zod';

export const ERROR_STATUS = {
  invalid_request: 400,
  invalid_json: 400,
  invalid_encoding: 400,
  unknown_field: 400,
  malformed_frame: 400,
  token_out_of_range: 400,
  context_length_exceeded: 400,
  unsupported_value: 400,
  protocol_mismatch: 400,
  unauthorized: 401,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  sequence_mismatch: 409,
  model_mismatch: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
  overloaded: 429,
  client_closed_request: 499,
  internal_error: 500,
  target_unavailable: 503,
  kv_budget_exceeded: 503,
  not_ready: 503,
  shutting_down: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** An error that may be shown to the caller as it is. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;
  /** Extra fields of the error body, such as the cached length of a sequence_mismatch. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return ERROR_STATUS[this.code];
  }
}

export const errorBodySchema = z.object({
  error: z.looseObject({ code: z.string(), message: z.string(), request_id: z.string() }),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;

export function errorBody(error: ServiceError, requestId: string): ErrorBody {
  return { error: { ...error.details, code: error.code, message: error.message, request_id: requestId } };
}

/** One sentence for the first few problems of a failed parse, naming each field. */
function describeIssues(error: z.ZodError): string {
  const sentences = error.issues.slice(0, 3).map((issue) => {
    const field = issue.path.length > 0 ? `"${issue.path.join('.')}": ` : '';
    return `${field}${issue.message}`;
  });
  const more = error.issues.length - sentences.length;
  return sentences.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/** Parses what comes in: the typed value, or a ServiceError that names field, bound and value. */
export function parseOrThrow<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const unknown = result.error.issues.some((issue) => issue.code === 'unrecognized_keys');
  const field = fieldOf(result.error.issues[0]!);
  throw new ServiceError(
    unknown ? 'unknown_field' : 'invalid_request',
    describeIssues(result.error),
    field === '' ? {} : { field },
  );
}

/** The field that an issue is about, '' for the whole message. */
function fieldOf(issue: z.core.$ZodIssue): string {
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0]!] : issue.path;
  return path.join('.');
}
