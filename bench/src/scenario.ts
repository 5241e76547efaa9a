/** What is measured, as data. Variants of one scenario are interleaved prompt by prompt, so that they share the noise. */

export interface Variant {
  readonly name: string;
  /** Fields of POST /generate. */
  readonly request: Readonly<Record<string, unknown>>;
}

export interface Scenario {
  readonly name: string;
  readonly target: string;
  readonly draft: string;
  readonly numPrompts: number;
  readonly maxNewTokens: number;
  /** The first is what the others are compared with. */
  readonly variants: readonly Variant[];
  readonly env?: Readonly<Record<string, string>>;
}

const alone = (temperature: number): Variant => ({
  name: 'target alone',
  request: { speculative: false, temperature },
});
const drafted = (draft_k: number, temperature: number): Variant => ({
  name: `k = ${draft_k}`,
  request: { draft_k, temperature },
});

/** Greedy and at temperature 0.8, target alone against a few k. */
export function speculationScenarios(options: {
  target: string;
  draft: string;
  ks: readonly number[];
  numPrompts: number;
  maxNewTokens: number;
  temperatures?: readonly number[];
  env?: Record<string, string>;
}): Scenario[] {
  const { ks, temperatures = [0, 0.8], ...rest } = options;
  return temperatures.map((temperature) => ({
    ...rest,
    name: `${options.target} with ${options.draft}, ${temperature === 0 ? 'greedy' : `temperature ${temperature}`}`,
    variants: [alone(temperature), ...ks.map((k) => drafted(k, temperature))],
  }));
}
