/** Pearson's χ² of counts against probabilities. */

const MIN_EXPECTED = 5;

export interface Fit {
  readonly chiSquare: number;
  readonly limit: number;
  readonly n: number;
}

/** Pearson's statistic and the limit df + 10·√(2·df); bins that expect fewer than 5 are merged into one. */
export function fit(observed: readonly number[], probs: readonly number[]): Fit {
  const n = observed.reduce((a, b) => a + b, 0);
  const bins: { observed: number; expected: number }[] = [];
  const rare = { observed: 0, expected: 0 };
  probs.forEach((p, id) => {
    const bin = { observed: observed[id]!, expected: n * p };
    if (bin.expected >= MIN_EXPECTED) bins.push(bin);
    else {
      rare.observed += bin.observed;
      rare.expected += bin.expected;
    }
  });
  if (rare.expected > 0) bins.push(rare);
  else if (rare.observed > 0) return { chiSquare: Infinity, limit: 0, n };
  const df = bins.length - 1;
  const chiSquare = bins.reduce((sum, bin) => sum + (bin.observed - bin.expected) ** 2 / bin.expected, 0);
  return { chiSquare, limit: df + 10 * Math.sqrt(2 * df), n };
}
