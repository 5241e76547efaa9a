/** Cosines and sines of rotary embeddings as GroupQueryAttention reads them; layers that turn alike share a pair. */
import type { RopeDescription } from '@forerunner/architecture';
import type { GraphWriter } from './graph-writer.ts';

export interface RopeCache {
  readonly cos: string;
  readonly sin: string;
}

export class RopeCaches {
  readonly #writer: GraphWriter;
  readonly #numPositions: number;
  readonly #caches = new Map<RopeDescription, RopeCache>();

  constructor(writer: GraphWriter, numPositions: number) {
    this.#writer = writer;
    this.#numPositions = numPositions;
  }

  of(rope: RopeDescription): RopeCache {
    const known = this.#caches.get(rope);
    if (known) return known;
    const suffix = this.#caches.size === 0 ? '' : `_${this.#caches.size}`;
    const cache = {
      cos: this.#write(`cos_cache${suffix}`, rope, Math.cos),
      sin: this.#write(`sin_cache${suffix}`, rope, Math.sin),
    };
    this.#caches.set(rope, cache);
    return cache;
  }

  /** [positions, rotaryDim / 2]. Angles are rounded to float32 as transformers does it. */
  #write(
    name: string,
    { inverseFrequencies, attentionFactor }: RopeDescription,
    of: (angle: number) => number,
  ): string {
    const width = inverseFrequencies.length;
    const frequencies = Float32Array.from(inverseFrequencies);
    const values = new Float32Array(this.#numPositions * width);
    for (let position = 0, at = 0; position < this.#numPositions; position++) {
      for (let pair = 0; pair < width; pair++, at++) {
        values[at] = of(Math.fround(position * frequencies[pair]!)) * attentionFactor;
      }
    }
    return this.#writer.floats(name, [this.#numPositions, width], values);
  }
}
