/** Norms in a graph: alone, and fused with the residual sum that they are over. */
import type { ModelDescription } from '@forerunner/architecture';
import type { Norm } from '../weights/model-weights.ts';
import type { GraphWriter } from './graph-writer.ts';

/** A sum that has been normed: the norm's output, and the sum itself, which the next one adds to. */
export interface Normed {
  readonly output: string;
  readonly sum: string;
}

/** norm(sum + added) in one operator, and the new sum. */
export function addNorm(
  writer: GraphWriter,
  model: ModelDescription,
  name: string,
  norm: Norm,
  sum: string,
  added: string | undefined,
  output = name,
): Normed {
  if (added === undefined) return { output: plainNorm(writer, model, name, norm, sum, output), sum };
  const op = model.norm.kind === 'rms' ? 'SkipSimplifiedLayerNormalization' : 'SkipLayerNormalization';
  const newSum = `${name}/sum`;
  const inputs = [sum, added, ...normWeights(writer, name, norm)];
  writer.node(op, name, inputs, { epsilon: { float: model.norm.epsilon } }, [output, '', '', newSum]);
  return { output, sum: newSum };
}

export function plainNorm(
  writer: GraphWriter,
  model: ModelDescription,
  name: string,
  norm: Norm,
  input: string,
  output = name,
): string {
  const op = model.norm.kind === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization';
  const attributes = { axis: -1, epsilon: { float: model.norm.epsilon }, stash_type: 1 };
  return writer.node(op, name, [input, ...normWeights(writer, name, norm)], attributes, [output]);
}

function normWeights(writer: GraphWriter, name: string, { weight, bias }: Norm): string[] {
  return [writer.vector(`${name}.weight`, weight), ...(bias ? [writer.vector(`${name}.bias`, bias)] : [])];
}
