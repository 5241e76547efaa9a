/** Ten times as many requests as there is capacity for: clear refusals, no hang, and nothing left behind. */
import { scrape, sumOf } from '@forerunner/testkit';
import autocannon from 'autocannon';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTinyTrio, type TinyTrio } from '../support/tiny-trio.ts';

const CAPACITY = 8; // running and waiting together
const SECONDS = Number(process.env.LOAD_SECONDS ?? 5);

let trio: TinyTrio;
beforeAll(async () => {
  trio = await startTinyTrio({ MAX_CONCURRENT_REQUESTS: '4', MAX_WAITING_REQUESTS: '4' });
});
afterAll(() => trio?.stop());

const load = (path: string, body: object) =>
  autocannon({
    url: trio.url + path,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    connections: 10 * CAPACITY,
    duration: SECONDS,
    timeout: 20,
  });

/** Resident memory once the garbage of a load has had time to go. */
async function settledMegabytes(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return sumOf(await scrape(trio.url), 'process_resident_memory_bytes') / 2 ** 20;
}

describe('the coordinator under ten times its capacity', () => {
  it.each([
    ['/generate', { prompt: 'Once', max_new_tokens: 16, temperature: 0, ignore_eos: true }],
    ['/v1/completions', { prompt: 'Once', max_tokens: 16, stream: true }],
  ])('%s answers or refuses with 429, all of it in time', async (path, body) => {
    const result = await load(path, body);
    expect(result.errors).toBe(0);
    expect(result.timeouts).toBe(0);
    expect(Object.keys(result.statusCodeStats ?? {}).sort()).toEqual(['200', '429']);
    expect(result['2xx']).toBeGreaterThan(SECONDS); // answers are completed all the same
    console.log(
      `${path}: ${result['2xx']} answered, ${result.non2xx} refused in ${SECONDS} s; ` +
        `p50 ${result.latency.p50} ms, p99 ${result.latency.p99} ms`,
    );
    // Answers that were under way when the load ended are cancelled, and everything is given back.
    await expect.poll(async () => sumOf(await scrape(trio.url), 'forerunner_requests_running')).toBe(0);
    await expect.poll(async () => sumOf(await scrape(trio.url), 'forerunner_requests_waiting')).toBe(0);
    for (const service of [trio.target, trio.draft]) {
      await expect
        .poll(async () => sumOf(await scrape(service.url), 'forerunner_sequences'), { timeout: 5000 })
        .toBe(0);
    }
  });

  it('keeps its memory level from one load to the next', async () => {
    const body = { prompt: 'Once', max_new_tokens: 16, stream: true };
    const megabytes: number[] = [];
    for (let i = 0; i < 4; i++) {
      await load('/generate', body);
      megabytes.push(await settledMegabytes());
    }
    console.log('resident memory after each load:', megabytes.map((mb) => `${mb.toFixed(0)} MB`).join(', '));
    const [, second, third, fourth] = megabytes as [number, number, number, number];
    expect(Math.min(third, fourth)).toBeLessThan(1.15 * second);
  }, 120_000);

  it('still answers at once afterwards', async () => {
    const startMs = performance.now();
    const reply = await fetch(`${trio.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'Once', max_new_tokens: 8 }),
    });
    expect(reply.status).toBe(200);
    expect(performance.now() - startMs).toBeLessThan(3000);
  });
});
