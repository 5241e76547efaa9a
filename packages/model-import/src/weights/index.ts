/** A checkpoint's tensors, found by the family's names. */
import type { ModelDescription } from '@forerunner/architecture';
import { type Checkpoint, TensorSource } from '../checkpoint/checkpoint.ts';
import { gpt2Weights, HARMLESS_IN_GPT2 } from './gpt2.ts';
import { HARMLESS, llamaLikeWeights } from './llama-like.ts';
import type { ModelWeights } from './model-weights.ts';

/** Errors: ImportError missing_tensor | bad_checkpoint | unknown_tensor, naming the tensor. */
export function weightsOf(model: ModelDescription, checkpoint: Checkpoint): ModelWeights {
  const source = new TensorSource(checkpoint);
  const isGpt2 = model.family === 'gpt2';
  const weights = isGpt2 ? gpt2Weights(model, source) : llamaLikeWeights(model, source);
  source.requireAllTaken(isGpt2 ? HARMLESS_IN_GPT2 : HARMLESS);
  return weights;
}
