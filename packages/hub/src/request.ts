/**
 * One request to a hub, asked again where that may help: no answer, 5xx, 429 with the time it names. The token goes to the
 * hub alone: fetch drops it when it is sent on to another host.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from './errors.ts';
import type { HubSettings } from './settings.ts';

export interface RequestOptions {
  /** For messages. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly firstDelayMs?: number;
}

const MAX_ATTEMPTS = 5;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 60_000;

/** Any 2xx. Errors: HubError not_found | not_allowed | unreachable. */
export async function request(url: string, settings: HubSettings, options: RequestOptions): Promise<Response> {
  const { what, signal, firstDelayMs = FIRST_DELAY_MS } = options;
  const headers = { ...options.headers, ...(settings.token && { authorization: `Bearer ${settings.token}` }) };
  for (let attempt = 1; ; attempt++) {
    const backoffMs = Math.min(MAX_DELAY_MS, firstDelayMs * 2 ** (attempt - 1));
    let delayMs = backoffMs;
    let problem: string;
    try {
      const response = await fetch(url, { headers, ...(signal && { signal }) });
      if (response.ok) return response;
      await response.body?.cancel();
      throwIfFinal(response.status, what, settings);
      problem = `answers ${response.status}`;
      const seconds = Number(response.headers.get('retry-after'));
      if (seconds > 0) delayMs = Math.min(MAX_DELAY_MS, seconds * 1000);
    } catch (error) {
      if (error instanceof HubError || signal?.aborted) throw error;
      const { cause, message } = error as Error;
      problem = cause instanceof Error ? cause.message : message;
    }
    if (attempt === MAX_ATTEMPTS) {
      throw new HubError('unreachable', `${what}: ${settings.endpoint} ${problem}, after ${MAX_ATTEMPTS} attempts`);
    }
    await sleep(delayMs, undefined, signal && { signal });
  }
}

function throwIfFinal(status: number, what: string, { endpoint, token }: HubSettings): void {
  if (status === 404) throw new HubError('not_found', `${endpoint} has no ${what}`);
  if (status === 401 || status === 403) {
    const how = token ? 'the token may not read it: its licence has to be accepted on the hub' : 'set HF_TOKEN';
    throw new HubError('not_allowed', `${what} is not open to everybody (${status}): ${how}`);
  }
  if (status < 500 && status !== 429 && status !== 408) {
    throw new HubError('unreachable', `${what}: ${endpoint} answers ${status}`);
  }
}
