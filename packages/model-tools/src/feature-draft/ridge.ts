/**
 * Linear least squares with a penalty on the weights: W = (XᵀX + λI)⁻¹ XᵀY, by Cholesky in float64. Samples are added
 * one at a time, so that their number costs no memory.
 */

export class RidgeRegression {
  readonly #numInputs: number;
  readonly #numOutputs: number;
  readonly #xx: Float64Array; // [numInputs, numInputs], lower triangle
  readonly #xy: Float64Array; // [numInputs, numOutputs]
  #numSamples = 0;

  constructor(numInputs: number, numOutputs: number) {
    this.#numInputs = numInputs;
    this.#numOutputs = numOutputs;
    this.#xx = new Float64Array(numInputs * numInputs);
    this.#xy = new Float64Array(numInputs * numOutputs);
  }

  get numSamples(): number {
    return this.#numSamples;
  }

  /** `x` [numInputs], `y` [numOutputs]. */
  add(x: Float32Array, y: Float32Array): void {
    const n = this.#numInputs;
    const m = this.#numOutputs;
    for (let i = 0; i < n; i++) {
      const xi = x[i]!;
      for (let j = 0; j <= i; j++) this.#xx[i * n + j]! += xi * x[j]!;
      for (let j = 0; j < m; j++) this.#xy[i * m + j]! += xi * y[j]!;
    }
    this.#numSamples++;
  }

  /** W [numInputs, numOutputs], row-major. `penalty` is per sample, in units of the inputs' mean square. */
  solve(penalty: number): Float32Array {
    const n = this.#numInputs;
    const m = this.#numOutputs;
    let trace = 0;
    for (let i = 0; i < n; i++) trace += this.#xx[i * n + i]!;
    const lambda = (penalty * trace) / n;
    const factor = cholesky(this.#xx, n, lambda);
    const w = Float64Array.from(this.#xy);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < i; k++) axpy(w, i, k, -factor[i * n + k]!, m);
      scale(w, i, 1 / factor[i * n + i]!, m);
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) axpy(w, i, k, -factor[k * n + i]!, m);
      scale(w, i, 1 / factor[i * n + i]!, m);
    }
    return Float32Array.from(w);
  }
}

/** L with L·Lᵀ = A + λI, from A's lower triangle. */
function cholesky(a: Float64Array, n: number, lambda: number): Float64Array {
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]! + (i === j ? lambda : 0);
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
      if (i !== j) l[i * n + j] = sum / l[j * n + j]!;
      else if (sum > 0) l[i * n + i] = Math.sqrt(sum);
      else throw new RangeError(`the inputs are linearly dependent (row ${i}): raise the penalty or add samples`);
    }
  }
  return l;
}

/** w[row] += factor · w[other] */
function axpy(w: Float64Array, row: number, other: number, factor: number, m: number): void {
  for (let j = 0; j < m; j++) w[row * m + j]! += factor * w[other * m + j]!;
}

function scale(w: Float64Array, row: number, factor: number, m: number): void {
  for (let j = 0; j < m; j++) w[row * m + j]! *= factor;
}
