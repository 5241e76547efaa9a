/** Errors in OpenAI's shape, on OpenAI's routes only. */
import type { ErrorCode, ServiceError } from '@forerunner/protocol';
import { z } from 'zod';

export const openAiErrorSchema = z.object({
  error: z.object({ message: z.string(), type: z.string(), param: z.string().nullable(), code: z.string().nullable() }),
});
export type OpenAiError = z.output<typeof openAiErrorSchema>;

/** Codes that clients of OpenAI look for; ours where it has none. */
const CODES: Partial<Record<ErrorCode, string>> = {
  invalid_request: 'invalid_value',
  unknown_field: 'unknown_parameter',
  unauthorized: 'invalid_api_key',
  rate_limited: 'rate_limit_exceeded',
  internal_error: 'server_error',
};

export function openAiError(error: ServiceError): OpenAiError {
  const { code, status, message, details } = error;
  const param = typeof details.field === 'string' ? details.field : null;
  const isModel = code === 'not_found' && param === 'model';
  return { error: { message, type: typeOf(status), param, code: isModel ? 'model_not_found' : (CODES[code] ?? code) } };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
