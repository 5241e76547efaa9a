/**
 * llama.cpp's converter turns llama3's rope scaling into a tensor of divisors. The parameters that make the same divisors
 * are found again, so that config.json says what transformers' says.
 */
import { describeModel, type ModelConfig } from '@forerunner/architecture';
import { type Matrix, readAll } from '../checkpoint/matrix.ts';
import { ImportError } from '../errors.ts';

const TOLERANCE = 1e-3;
/** Contexts that models were trained on before: powers of two, the published one first. */
const ORIGINAL_LENGTHS = [8_192, 4_096, 16_384, 32_768, 2_048, 1_024, 512, 256, 128, 64, 32];

/** Errors: ImportError bad_checkpoint when they are no divisors of llama3. */
export function withLlama3Rope(config: Record<string, unknown>, divisors: Matrix): Record<string, unknown> {
  const wanted = readAll(divisors);
  const plain = frequenciesOf(config);
  for (const originalLength of ORIGINAL_LENGTHS) {
    const scaled = {
      ...config,
      rope_scaling: {
        rope_type: 'llama3',
        factor: Math.max(...wanted),
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: originalLength,
      },
    };
    const made = frequenciesOf(scaled);
    const fits = wanted.every((divisor, pair) => Math.abs(plain[pair]! / made[pair]! / divisor - 1) < TOLERANCE);
    if (fits && wanted.length === made.length) return scaled;
  }
  throw new ImportError('bad_checkpoint', 'rope_freqs.weight is not what llama3 scaling makes: rotation is not known');
}

function frequenciesOf(config: ModelConfig): Float64Array {
  return describeModel(config).layers[0]?.rope?.inverseFrequencies ?? new Float64Array();
}
