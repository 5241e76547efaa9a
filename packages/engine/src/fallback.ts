/**
 * What was asked for and is not in use. Each is a warning in the log and a line of the model card: a service that runs
 * slower than it was told to must not look healthy.
 */
import type { EngineLog } from './log.ts';

export interface Fallback {
  readonly wanted: string;
  readonly used: string;
  readonly reason: string;
}

export type OnFallback = (fallback: Fallback) => void;

export function warnOf(log: EngineLog, fallback: Fallback): void {
  log('warn', `${fallback.wanted} is not in use, but ${fallback.used}`, { fallback });
}
