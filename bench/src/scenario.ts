/** What is measured, as data. Variants of one scenario are interleaved prompt by prompt, so that they share the noise. */
import type { TrioOptions } from '@forerunner/testkit';

export interface Variant {
  readonly name: string;
  /** Which of the scenario's servers answers. */
  readonly server: string;
  /** Fields of POST /generate. */
  readonly request: Readonly<Record<string, unknown>>;
}

export interface Scenario {
  readonly name: string;
  readonly servers: Readonly<Record<string, TrioOptions>>;
  readonly numPrompts: number;
  readonly maxNewTokens: number;
  /** The tiny pair has no chat template. */
  readonly promptAs: 'chat' | 'text';
  /** The first is what the others are compared with. */
  readonly variants: readonly Variant[];
}

/** Settings of every server that is measured: quiet logs, and no proposal given up. */
const MEASURED: Partial<TrioOptions> = {
  env: { LOG_LEVEL: 'warn' },
  coordinatorEnv: { MAX_DRAFT_TOKENS: '16', DRAFT_TIMEOUT_MS: '10000' },
};

/** Fields of POST /generate that say how long proposals are. */
interface DraftLength {
  readonly draft_k: number;
  readonly min_confidence?: number;
}

export interface SpeculationOptions {
  readonly label: string;
  readonly servers: Readonly<Record<string, TrioOptions>>;
  /** The server whose target, alone, the others are compared with; the first by default. */
  readonly baselines: readonly string[];
  /** Draft lengths to try on each server, as they are or cut short by the draft's confidence. */
  readonly ks: Readonly<Record<string, readonly (number | DraftLength)[]>>;
  readonly temperatures: readonly number[];
  readonly numPrompts: number;
  readonly maxNewTokens: number;
  readonly promptAs?: 'chat' | 'text';
}

/** For each temperature: the target alone on every baseline server, then each server with its draft at each k. */
export function speculationScenarios(options: SpeculationOptions): Scenario[] {
  const servers = Object.fromEntries(
    Object.entries(options.servers).map(([name, server]) => [name, { ...MEASURED, ...server }]),
  );
  return options.temperatures.map((temperature) => ({
    name: `${options.label}, ${temperature === 0 ? 'greedy' : `temperature ${temperature}`}`,
    servers,
    numPrompts: options.numPrompts,
    maxNewTokens: options.maxNewTokens,
    promptAs: options.promptAs ?? 'chat',
    variants: [
      ...options.baselines.map((server) => ({
        name: `${server}: target alone`,
        server,
        request: { speculative: false, temperature },
      })),
      ...Object.entries(options.ks).flatMap(([server, ks]) =>
        ks.map((k) => variant(server, typeof k === 'number' ? { draft_k: k } : k, temperature)),
      ),
    ],
  }));
}

function variant(server: string, length: DraftLength, temperature: number): Variant {
  const surely = length.min_confidence ? ` while at least ${length.min_confidence} sure` : '';
  const request = { ...length, temperature, prompt_lookup: false }; // it is the drafts that are compared
  return { name: `${server}: k = ${length.draft_k}${surely}`, server, request };
}
