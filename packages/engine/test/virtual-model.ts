/**
 * A model in virtual time: a pass costs what its rows cost, and whoever is due to come while it runs comes then. Sequences
 * are loops over a real Scheduler, so what is simulated is the scheduler and nothing else. Deterministic.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ComposePass, PassLimits } from '../src/pass-composition.ts';
import type { ForwardBatch, ForwardItem, KvCache } from '../src/runner.ts';
import { Scheduler } from '../src/scheduler.ts';
import { ToyRunner } from './toy-runner.ts';

/** A request: a prompt, then so many proposals of `width` tokens, each as soon as the last one is through. */
export interface SimulatedRequest {
  readonly name: string;
  readonly arrivesMs: number;
  readonly promptTokens: number;
  readonly numDecodes: number;
  readonly width: number;
  /** Given up at this time, wherever it is. */
  readonly abortsMs?: number;
}

/** One job from its queueing to its pass. */
interface SimulatedJob {
  readonly name: string;
  /** Of the job; a pass may have taken fewer. */
  readonly numTokens: number;
  readonly queuedMs: number;
  /** Jobs that were queued before it and waited then. */
  readonly ahead: readonly { readonly name: string; readonly numTokens: number }[];
  /** Passes that had begun when it was queued. */
  readonly firstPass: number;
  pass?: number;
  numTaken?: number;
  abortedMs?: number;
}

interface SimulatedPass {
  readonly startMs: number;
  readonly endMs: number;
  readonly members: readonly { readonly name: string; readonly numTokens: number }[];
}

export interface Simulation {
  readonly jobs: readonly SimulatedJob[];
  readonly passes: readonly SimulatedPass[];
  /** When each request ended, complete or not. */
  readonly endedMs: ReadonlyMap<string, number>;
}

/** About what the int8 target costs on two cores. */
export const costMs = (numRows: number): number => 6 + 0.7 * numRows;

export async function simulate(
  requests: readonly SimulatedRequest[],
  limits: PassLimits,
  composePass?: ComposePass,
): Promise<Simulation> {
  let nowMs = 0;
  const jobs: SimulatedJob[] = [];
  const waiting: SimulatedJob[] = [];
  const passes: SimulatedPass[] = [];
  const endedMs = new Map<string, number>();
  const nameOf = new Map<KvCache, string>();
  const running: Promise<void>[] = [];
  const aborts = new Map(requests.map(({ name }) => [name, new AbortController()]));
  const events = [
    ...requests.map((request) => ({ atMs: request.arrivesMs, happen: () => void running.push(live(request)) })),
    ...requests.flatMap(({ name, abortsMs }) =>
      abortsMs === undefined ? [] : [{ atMs: abortsMs, happen: () => aborts.get(name)!.abort() }],
    ),
  ].sort((a, b) => a.atMs - b.atMs);

  /** Lets everything happen that is due by `untilMs`. */
  const advance = async (untilMs: number) => {
    while (events.length > 0 && events[0]!.atMs <= untilMs) {
      const { atMs, happen } = events.shift()!;
      nowMs = Math.max(nowMs, atMs);
      happen();
      for (let i = 0; i < 5; i++) await Promise.resolve(); // what it queues is queued at that time
    }
    nowMs = Math.max(nowMs, untilMs);
  };

  class VirtualRunner extends ToyRunner {
    override maxSequences = limits.maxItems;
    override async forward(items: readonly ForwardItem[]): Promise<ForwardBatch> {
      const members = items.map(({ cache, tokenIds }) => ({ name: nameOf.get(cache)!, numTokens: tokenIds.length }));
      for (const { name, numTokens } of members) {
        const [job] = waiting.splice(
          waiting.findIndex((each) => each.name === name),
          1,
        );
        Object.assign(job!, { pass: passes.length, numTaken: numTokens });
      }
      const startMs = nowMs;
      const endMs = startMs + costMs(members.reduce((sum, { numTokens }) => sum + numTokens, 0));
      passes.push({ startMs, endMs, members });
      await advance(endMs);
      return { outputs: items.map(() => ({ logits: new Float32Array(0) })), release() {} };
    }
  }
  const runner = new VirtualRunner(100_000);
  const scheduler = new Scheduler({ runner, limits, ...(composePass && { composePass }) });

  async function live({ name, promptTokens, numDecodes, width }: SimulatedRequest): Promise<void> {
    const cache = runner.createCache(1);
    nameOf.set(cache, name);
    try {
      for (let i = 0; i <= numDecodes; i++) {
        for (let numLeft = i === 0 ? promptTokens : width; numLeft > 0; ) numLeft -= await queue(name, cache, numLeft);
      }
    } catch {
      // given up
    }
    endedMs.set(name, nowMs);
  }

  async function queue(name: string, cache: KvCache, numTokens: number): Promise<number> {
    const ahead = waiting.map((job) => ({ name: job.name, numTokens: job.numTokens }));
    const job: SimulatedJob = { name, numTokens, queuedMs: nowMs, ahead, firstPass: passes.length };
    const { signal } = aborts.get(name)!;
    const result = scheduler.submit(
      { cache, numPastTokens: 0, tokenIds: new Int32Array(numTokens), numLogitRows: 0 },
      signal,
    );
    if (!signal.aborted) {
      jobs.push(job);
      waiting.push(job);
    }
    try {
      const pass = await result;
      pass.release();
      return pass.numTokens;
    } catch (error) {
      job.abortedMs = nowMs;
      if (job.pass === undefined) waiting.splice(waiting.indexOf(job), 1);
      throw error;
    }
  }

  while (events.length > 0 || endedMs.size < running.length) {
    await nextTurn();
    if (scheduler.queueDepth === 0 && waiting.length === 0 && events.length > 0 && endedMs.size === running.length) {
      await advance(events[0]!.atMs);
    }
  }
  await Promise.all(running);
  return { jobs, passes, endedMs };
}
