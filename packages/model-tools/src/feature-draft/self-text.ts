/** Text that a model writes by itself, as token ids: what its drafts are fitted to and tried on. */
import { argmax } from '../check/compare.ts';
import { type LmSession, type Past, pastFrom, toFloat32 } from '../check/lm-session.ts';

export interface TextOptions {
  readonly promptTokenIds: readonly number[];
  /** Of the whole text, prompt included. */
  readonly numTokens: number;
  /** 0: greedy. */
  readonly temperature: number;
  readonly random: () => number;
}

/** [numTokens]; end-of-sequence tokens do not end it, since drafts meet what follows them too. */
export async function writeText(session: LmSession, options: TextOptions): Promise<Int32Array> {
  const tokenIds = Int32Array.from({ length: options.numTokens }, (_, i) => options.promptTokenIds[i] ?? 0);
  let past: Past = session.emptyPast();
  let numPastTokens = 0;
  for (let length = options.promptTokenIds.length; length < options.numTokens; length++) {
    const outputs = await session.run({
      tokenIds: tokenIds.subarray(numPastTokens, length),
      past,
      numPastTokens,
      numLogitsToKeep: 1,
    });
    const vocabSize = outputs.logits?.dims.at(-1) ?? 1;
    const row = toFloat32(outputs.logits).subarray(-vocabSize);
    tokenIds[length] = options.temperature === 0 ? argmax(row) : sample(row, options.temperature, options.random());
    past = pastFrom(outputs);
    numPastTokens = length;
  }
  return tokenIds;
}

function sample(logits: Float32Array, temperature: number, u: number): number {
  const top = logits[argmax(logits)]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  let rest = u * weights.reduce((sum, weight) => sum + weight, 0);
  for (let tokenId = 0; tokenId < weights.length; tokenId++) {
    rest -= weights[tokenId]!;
    if (rest < 0) return tokenId;
  }
  return weights.length - 1;
}
