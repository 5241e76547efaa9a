/**
 * exp(x) for x <= 0, which is all that a softmax needs. About twice as fast as Math.exp over a vocabulary, and made of
 * additions and multiplications only, so that a distribution has the same bits on every machine (Math.exp may differ).
 */

const STEPS_PER_OCTAVE = 32;
const STEP = Math.LN2 / STEPS_PER_OCTAVE;
/** exp(-104) < 2^-150: from here on a probability is 0 in float32. */
const SMALLEST_EXPONENT = -104;
/** 2^(-i/32), from square roots and products, which are exact to the last bit everywhere (`**` need not be). */
const POWERS = powers();

/** Relative error below 2e-14; 0 below -104. exp(x) = 2^(-i/32) · exp(r), |r| <= ln(2)/64, by Taylor's series. */
export function expNegative(x: number): number {
  if (!(x > SMALLEST_EXPONENT)) return 0;
  const i = (0.5 - x / STEP) | 0;
  const r = x + i * STEP;
  return POWERS[i]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120))))));
}

function powers(): Float64Array {
  const roots = [0.5]; // 2^-1, 2^-1/2, ... 2^-1/32
  while (roots.length < 6) roots.push(Math.sqrt(roots.at(-1)!));
  return Float64Array.from({ length: Math.ceil(-SMALLEST_EXPONENT / STEP) + 1 }, (_, i) => {
    let power = 1;
    for (let octave = 0; octave < i >> 5; octave++) power /= 2;
    for (let bit = 0; bit < 5; bit++) if (i & (1 << bit)) power *= roots[5 - bit]!;
    return power;
  });
}
