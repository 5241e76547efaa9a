/**
 * What docs/scheduling.md promises, in virtual time over many mixes of prompts, proposals and cancellations. The same
 * assertions catch policies that break the promises, which shows that they can.
 */
import { describe, expect, it } from 'vitest';
import { type ComposePass, composePass, type PassLimits } from '../src/pass-composition.ts';
import { randomFrom } from './seeded-random.ts';
import { costMs, type SimulatedRequest, type Simulation, simulate } from './virtual-model.ts';

const MAX_SHORT = 33;
const LIMITS: PassLimits = { maxItems: 8, maxTokens: 256, chunkTokens: 128 };

type Promised = 'limits' | 'turns' | 'short jobs' | 'long jobs' | 'cancelled' | 'everybody ends';

/** Which promises were broken. */
function broken(
  { jobs, passes, endedMs }: Simulation,
  requests: readonly SimulatedRequest[],
  limits: PassLimits,
): Set<Promised> {
  const found = new Set<Promised>();
  const require = (holds: boolean, promise: Promised) => holds || found.add(promise);
  const isShort = ({ numTokens }: { numTokens: number }) => numTokens <= MAX_SHORT;
  /** Short jobs that go in any pass, if so many wait: a long one may have a place and half of the tokens. */
  const numShortPerPass = Math.max(1, Math.min(limits.maxItems - 1, Math.floor(limits.maxTokens / 2 / MAX_SHORT)));

  for (const { members } of passes) {
    const numRows = members.reduce((sum, { numTokens }) => sum + numTokens, 0);
    require(members.length <= limits.maxItems && numRows <= limits.maxTokens, 'limits');
    require(members.every(({ numTokens }) => numTokens <= limits.chunkTokens), 'limits');
  }
  const jobOf = new Map(jobs.map((job) => [`${job.pass}/${job.name}`, job]));
  for (const job of jobs) {
    const endPass = job.pass ?? passes.findIndex(({ startMs }) => startMs >= job.abortedMs!);
    const waited = passes.slice(job.firstPass, endPass < 0 ? passes.length : endPass);
    const turns = new Map<string, number>();
    waited.forEach(({ members }, i) => {
      for (const { name } of members) {
        const other = jobOf.get(`${job.firstPass + i}/${name}`)!;
        if (isShort(other) === isShort(job)) turns.set(name, (turns.get(name) ?? 0) + 1);
      }
    });
    require([...turns.values()].every((count) => count < 2), 'turns');
    const numShortAhead = job.ahead.filter(isShort).length;
    const numLongAhead = job.ahead.length - numShortAhead;
    if (limits.maxItems === 1) {
      require(waited.length <= job.ahead.length, isShort(job) ? 'short jobs' : 'long jobs');
    } else if (isShort(job)) require(waited.length <= Math.ceil(numShortAhead / numShortPerPass), 'short jobs');
    else require(waited.length <= numLongAhead + Math.ceil(numShortAhead / numShortPerPass), 'long jobs');
  }
  for (const { name, abortsMs } of requests) {
    if (abortsMs === undefined) continue;
    require(passes.every(
      ({ startMs, members }) => startMs < abortsMs || members.every((member) => member.name !== name),
    ), 'cancelled');
  }
  require(requests.every(({ name }) => endedMs.has(name)), 'everybody ends');
  for (const { name, promptTokens, numDecodes, width, abortsMs } of requests) {
    if (abortsMs !== undefined) continue;
    const numTaken = jobs.filter((job) => job.name === name).reduce((sum, job) => sum + (job.numTaken ?? 0), 0);
    require(numTaken === promptTokens + numDecodes * width, 'everybody ends');
  }
  return found;
}

function mix(seed: number): SimulatedRequest[] {
  const random = randomFrom(seed);
  return Array.from({ length: 60 }, (_, i) => {
    const arrivesMs = random(4000);
    return {
      name: `r${i}`,
      arrivesMs,
      promptTokens: [1 + random(33), 34 + random(300), 1000 + random(2000)][random(3)]!,
      numDecodes: random(40),
      width: 1 + random(random(4) === 0 ? 33 : 6),
      ...(random(5) === 0 && { abortsMs: arrivesMs + random(3000) }),
    };
  });
}

const seeds = [1, 2, 3, 4, 5, 6];

describe.each<[string, PassLimits]>([
  ['eight sequences a pass', LIMITS],
  ['two sequences a pass', { ...LIMITS, maxItems: 2 }],
  ['sequences that take turns', { ...LIMITS, maxItems: 1 }],
  ['large passes', { maxItems: 32, maxTokens: 1024, chunkTokens: 512 }],
])('%s', (_name, limits) => {
  it.each(seeds)('keep every promise (seed %i)', async (seed) => {
    const requests = mix(seed);
    expect(broken(await simulate(requests, limits), requests, limits)).toEqual(new Set());
  });
});

describe('an unfair policy is caught', () => {
  const policies: [string, ComposePass, Promised][] = [
    [
      'short jobs before everything: prompts starve',
      (queue, limits) =>
        composePass(
          queue.filter(({ numTokens }) => numTokens <= MAX_SHORT).length > 0
            ? queue.filter(({ numTokens }) => numTokens <= MAX_SHORT)
            : queue,
          limits,
        ),
      'long jobs',
    ],
    [
      'long jobs before everything: proposals starve',
      (queue, limits) =>
        composePass(
          queue.some(({ numTokens }) => numTokens > MAX_SHORT)
            ? queue.filter(({ numTokens }) => numTokens > MAX_SHORT)
            : queue,
          limits,
        ),
      'short jobs',
    ],
    ['the last comes first', (queue, limits) => composePass(queue.toReversed(), limits), 'turns'],
    [
      'whole prompts at once',
      (queue, limits) => composePass(queue, { ...limits, chunkTokens: 4096, maxTokens: 4096 }),
      'limits',
    ],
  ];
  it.each(policies)('%s', async (_name, policy, promise) => {
    const requests = seeds.flatMap((seed) =>
      mix(seed).map((request) => ({ ...request, name: `${seed}/${request.name}` })),
    );
    expect(broken(await simulate(requests, LIMITS, policy), requests, LIMITS)).toContain(promise);
  });
});

describe('while four prompts of 2,800 tokens are read', () => {
  const long = [0, 1, 2, 3].map((i) => ({
    name: `long${i}`,
    arrivesMs: 0,
    promptTokens: 2800,
    numDecodes: 0,
    width: 1,
  }));

  it('a prompt of 30 tokens waits for the pass under way and no other', async () => {
    const short = { name: 'short', arrivesMs: 1000, promptTokens: 30, numDecodes: 0, width: 1 };
    const { endedMs } = await simulate([...long, short], LIMITS);
    expect(endedMs.get('short')! - 1000).toBeLessThanOrEqual(2 * costMs(LIMITS.maxTokens));
  });

  it('a sequence that decodes is in every pass', async () => {
    const decoding = { name: 'decoding', arrivesMs: 0, promptTokens: 1, numDecodes: 20, width: 5 };
    const { passes } = await simulate([...long, decoding], LIMITS);
    for (const { members } of passes.slice(1, 21)) expect(members).toContainEqual({ name: 'decoding', numTokens: 5 });
  });

  it('all of them get on alike', async () => {
    const { endedMs } = await simulate(long, LIMITS);
    const ends = [...endedMs.values()];
    expect(Math.max(...ends) - Math.min(...ends)).toBeLessThanOrEqual(2 * costMs(LIMITS.maxTokens));
  });
});

it('a prompt is read chunk by chunk although more sequences decode than a pass takes', async () => {
  const decoding = Array.from({ length: 24 }, (_, i) => ({
    name: `d${i}`,
    arrivesMs: i,
    promptTokens: 1,
    numDecodes: 300,
    width: 2,
  }));
  const prompt = { name: 'prompt', arrivesMs: 200, promptTokens: 640, numDecodes: 0, width: 1 };
  const { passes } = await simulate([...decoding, prompt], LIMITS);
  const withPrompt = passes.flatMap(({ members }, i) => (members.some(({ name }) => name === 'prompt') ? [i] : []));
  expect(withPrompt).toHaveLength(5);
  for (const [i, pass] of withPrompt.slice(1).entries()) expect(pass - withPrompt[i]!).toBeLessThanOrEqual(4);
});
