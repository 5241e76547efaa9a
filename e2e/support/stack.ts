/**
 * A running trio as scenarios see it: where it answers, and what can be done to it. Two kinds exist, composed containers
 * and plain processes; a scenario does not know which it has.
 */
import type { FaultState } from '@forerunner/testkit';

export type Member = 'draft-service' | 'target-service' | 'target-service-2' | 'speculative-coordinator';
/** Members before which a fault proxy stands in the stack of kind `faults`. */
export type Proxied = Exclude<Member, 'speculative-coordinator'>;

/** default: the embedded pair, as `docker compose up` gives it. faults: the tiny pair, two targets, a fault proxy before each. */
export type StackKind = 'default' | 'faults';

export interface Stack {
  /** The coordinator. */
  readonly url: string;
  /** Any member, for its card and its metrics. */
  urlOf(member: Member): string;
  /** SIGKILL. */
  kill(member: Member): Promise<void>;
  /** Stops the clock of a member: connections stay open, nothing answers. */
  pause(member: Member): Promise<void>;
  resume(member: Member): Promise<void>;
  /** After `kill` or `terminate`: starts it again and waits until it is ready. */
  revive(member: Member): Promise<void>;
  /** SIGTERM; the exit code once it has ended. */
  terminate(member: Member): Promise<number | null>;
  /** Cuts a member off the network, and joins it again. */
  disconnect(member: Proxied): Promise<void>;
  reconnect(member: Proxied): Promise<void>;
  /** Steers the proxy before a member. Only in the stack of kind `faults`. */
  setFault(member: Proxied, fault: Partial<FaultState>): Promise<void>;
  logOf(member: Member): Promise<string>;
  /** Ends and removes all that was started. */
  close(): Promise<void>;
}
