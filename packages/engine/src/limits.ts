/** What a model bounds, checked in one way wherever tokens come in. */
import { contextOverflow, tokenOutOfRange } from './errors.ts';

/** `what`: see contextOverflow. Errors: EngineError context_overflow. */
export function requireContext(numTokens: number, contextLength: number, what?: string): void {
  if (numTokens > contextLength) throw contextOverflow(numTokens, contextLength, what);
}

/** Errors: EngineError token_out_of_range, naming the first that is. */
export function requireTokenIds(tokenIds: Int32Array, vocabSize: number): void {
  const index = tokenIds.findIndex((id) => id < 0 || id >= vocabSize);
  if (index >= 0) throw tokenOutOfRange(tokenIds[index]!, index, vocabSize);
}
