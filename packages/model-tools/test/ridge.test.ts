import { describe, expect, it } from 'vitest';
import { seededRandom } from '../src/feature-draft/random.ts';
import { RidgeRegression } from '../src/feature-draft/ridge.ts';

describe('RidgeRegression', () => {
  it('finds the map that made the samples', () => {
    const random = seededRandom(3);
    const truth = [
      [0.5, -2],
      [1, 0.25],
      [-0.75, 3],
    ];
    const ridge = new RidgeRegression(3, 2);
    for (let sample = 0; sample < 50; sample++) {
      const x = Float32Array.from({ length: 3 }, () => random() - 0.5);
      ridge.add(x, Float32Array.of(dot(x, truth, 0), dot(x, truth, 1)));
    }
    const found = ridge.solve(0);
    for (const [i, value] of truth.flat().entries()) expect(found[i]).toBeCloseTo(value, 5);
  });

  it('gives the penalised solution of a problem that can be done by hand', () => {
    const ridge = new RidgeRegression(1, 1);
    ridge.add(Float32Array.of(1), Float32Array.of(2));
    ridge.add(Float32Array.of(3), Float32Array.of(6));
    // xx = 10, xy = 20, λ = 0.5 · 10: w = 20 / 15
    expect(ridge.solve(0.5)[0]).toBeCloseTo(4 / 3, 6);
  });

  it('refuses inputs that depend on each other when nothing is penalised', () => {
    const ridge = new RidgeRegression(2, 1);
    for (const value of [1, 2, 5]) ridge.add(Float32Array.of(value, value), Float32Array.of(1));
    expect(() => ridge.solve(0)).toThrow(/linearly dependent/);
  });
});

function dot(x: Float32Array, weights: number[][], column: number): number {
  return weights.reduce((sum, row, i) => sum + x[i]! * row[column]!, 0);
}
