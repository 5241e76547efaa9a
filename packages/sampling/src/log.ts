/**
 * -ln(u) for u in (0, 1], by additions, multiplications and divisions only, so that it has the same bits on every machine
 * and in every language (Math.log may differ). docs/coupled-sampling.md has it step by step.
 */

const LN2 = Math.LN2;
const SQRT_HALF = Math.SQRT1_2;
/** 1/3, 1/5, ... 1/23 of atanh(s) = s + s³/3 + s⁵/5 + ... */
const COEFFICIENTS = Array.from({ length: 11 }, (_, i) => 1 / (2 * i + 3));

/** Relative error below 1e-15. u = m · 2^-k with m in [√½, √2): -ln u = k · ln 2 - 2 · atanh((m - 1) / (m + 1)). */
export function negativeLog(u: number): number {
  let m = u;
  let k = 0;
  while (m < SQRT_HALF) {
    m *= 2;
    k++;
  }
  const s = (m - 1) / (m + 1);
  const s2 = s * s;
  let series = 0;
  for (let i = COEFFICIENTS.length - 1; i >= 0; i--) series = (series + COEFFICIENTS[i]!) * s2;
  return k * LN2 - 2 * (s + s * series);
}
