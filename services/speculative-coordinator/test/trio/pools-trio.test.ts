/**
 * Two drafts and three targets behind two names, as processes: what happens to members, one after the other, under 16
 * clients. `bench/src/fleet.ts` does the same for minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, Fleet, type FleetMember, generate, SteadyLoad, scrape, sumOf } from '@forerunner/testkit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

let fleet: Fleet;
let url: string;
beforeAll(async () => {
  const coordinatorEnv = { MAX_CONCURRENT_REQUESTS: '32', PROMPT_LOOKUP: 'false', DEFAULT_DRAFT_TOKENS: '3' };
  fleet = await Fleet.start({ target: 'tiny', draft: 'tiny-draft', numTargets: 3, numDrafts: 2, coordinatorEnv });
  url = fleet.coordinator.url;
}, 60_000);
afterAll(() => fleet?.stop());

const WORDS = 'the cat sat on a mat and looked at the dog that ran over the hill to an old mill by the river'.split(
  ' ',
);
const textOf = (seed: number, numWords: number) =>
  Array.from({ length: numWords }, (_, i) => WORDS[(seed * 7 + i * i + 3 * i * seed) % WORDS.length]).join(' ');
const greedy = { temperature: 0, ignore_eos: true };
const load = () =>
  SteadyLoad.start(url, {
    numClients: 16,
    prompts: Array.from({ length: 20 }, (_, i) => `${i} ${textOf(i, 20)}`),
    body: { ...greedy, max_new_tokens: 40 },
    patienceMs: 20_000,
  });

/** A sample of the coordinator, as it is now; undefined: there is none. */
async function sample(name: string, ...labels: string[]): Promise<number | undefined> {
  const samples = [...(await scrape(url))];
  return samples.find(([key]) => key.startsWith(`${name}{`) && labels.every((label) => key.includes(label)))?.[1];
}
const ofMember = ({ role, name }: FleetMember) => [`role="${role}"`, `replica="${name}"`];
const isServing = (member: FleetMember) => sample('forerunner_replica_serving', ...ofMember(member));
const numAnswers = (member: FleetMember) => sample('forerunner_replica_answers', ...ofMember(member));
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 30_000, interval: 100 });
const serves = (member: FleetMember) => eventually(async () => expect(await isServing(member)).toBe(1));
const servesNot = (member: FleetMember) => eventually(async () => expect(await isServing(member)).toBe(0));

/** Does the same to members of both pools, at the same time. */
const both = (act: (members: [FleetMember, FleetMember]) => Promise<void>) =>
  Promise.all((['target', 'draft'] as const).map((role) => act(fleet.of(role) as [FleetMember, FleetMember])));

describe('where texts go', () => {
  it('the turns of a chat go where its prefix is cached', async () => {
    const turns: Answer[] = [];
    await Promise.all(
      Array.from({ length: 12 }, async (_, chat) => {
        let prompt = `${textOf(chat + 40, 60)} ${chat}`;
        for (let turn = 0; turn < 5; turn++) {
          const answer = await generate(url, { ...greedy, prompt, max_new_tokens: 8 });
          if (turn > 0) turns.push(answer);
          prompt += `${answer.text} ${textOf(chat + turn, 4)}`;
          await sleep(20);
        }
      }),
    );
    const hits = turns.filter(({ usage }) => usage.prompt_tokens_details.cached_tokens > 0.5 * usage.prompt_tokens);
    expect(hits.length / turns.length).toBeGreaterThanOrEqual(0.9);
    const answers = await Promise.all(fleet.of('target').map(({ service }) => scrape(service.url)));
    for (const samples of answers) expect(sumOf(samples, 'prefix_cache_queries_total')).toBeGreaterThan(0);
  });

  it('a prompt that everybody has brings no replica more than its share', async () => {
    const NUM = 24;
    const hot = Array.from({ length: NUM }, () =>
      generate(url, { ...greedy, prompt: textOf(99, 80), max_new_tokens: 80 }),
    );
    let most: number[] = [];
    await eventually(async () => {
      most = (await Promise.all(fleet.of('target').map(numAnswers))).map((count) => count ?? 0);
      expect(most.reduce((sum, one) => sum + one, 0)).toBe(NUM);
    });
    expect(Math.max(...most)).toBeLessThanOrEqual(Math.ceil((1.25 * NUM) / 3) + 2);
    const answers = await Promise.all(hot);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });
});

describe('a fleet under load', () => {
  let steady: SteadyLoad;
  beforeAll(async () => {
    steady = await load();
  });

  it('loses nothing when a target and a draft are killed, and uses them again', async () => {
    await both(async ([member]) => {
      await member.service.end('SIGKILL');
      await servesNot(member);
      expect(await sample('forerunner_degraded')).toBe(0); // another draft is there
      await member.service.start();
      await serves(member);
    });
  });

  it('loses nothing when a target and a draft say nothing any more', async () => {
    await both(async ([, member]) => {
      member.service.signal('SIGSTOP');
      await servesNot(member);
      await eventually(async () => expect(await numAnswers(member)).toBe(0)); // what it worked on has moved
      member.service.signal('SIGCONT');
      await serves(member);
    });
  });

  it('passes over a target that is much slower than the others', async () => {
    const member = fleet.of('target')[2]!;
    const ejections = () => sample('forerunner_replica_ejections_total', 'role="target"', 'reason="latency"');
    const before = (await ejections()) ?? 0;
    await member.line.set({ latencyMs: 60 });
    await servesNot(member);
    expect(await ejections()).toBeGreaterThan(before);
    await member.line.set({ latencyMs: 0 });
  });

  it('loses nothing when a target and a draft are replaced by others', async () => {
    await both(async ([member]) => {
      const successor = await fleet.add(member.role);
      await serves(successor);
      fleet.withdraw(member);
      await eventually(async () => expect(await numAnswers(member)).toBeUndefined()); // drained
      expect(await member.service.end()).toBe(0);
      member.line.close();
    });
  });

  it('gave every client the right answers all the time, and drafted', async () => {
    const { failures, numWrong, numAnswers: numRight, numAcceptedTokens } = await steady.stop();
    expect({ failures, numWrong }).toEqual({ failures: [], numWrong: 0 });
    expect(numRight).toBeGreaterThan(100);
    expect(numAcceptedTokens).toBeGreaterThan(numRight);
    expect(await sample('forerunner_answer_moves_total', 'role="target"')).toBeGreaterThan(0);
    expect(await sample('forerunner_answer_moves_total', 'role="draft"')).toBeGreaterThan(0);
  });
});
