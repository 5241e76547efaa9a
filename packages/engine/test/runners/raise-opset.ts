/** Raising a graph's operator set to one that has the operators a rewrite needs. */
import { GraphError } from '../../../onnx-graph/src/errors.ts';
import type { Graph } from '../../../onnx-graph/src/graph.ts';
import { toNumber } from '../../../onnx-graph/src/onnx.ts';

/** Operators whose attributes became inputs or whose meaning changed at 18: older nodes would be misread. */
const CHANGED_AT_18 = /^(Reduce(Max|Mean|Min|Prod|L1|L2|LogSum|LogSumExp|SumSquare)|Split|Pad|Resize)$/;
/** The IR version that came with operator set 24. */
const IR_VERSION = 11;

/** Sets the default domain to at least `version` (18 … 24). Errors: GraphError unsupported_graph. */
export function raiseOpset(graph: Graph, version: number): void {
  const { model } = graph;
  const imported = model.opsetImport.find((entry) => !entry.domain || entry.domain === 'ai.onnx');
  if (!imported) throw new GraphError('unsupported_graph', 'the graph imports no version of the default domain');
  const current = toNumber(imported.version);
  if (current >= version) return;
  if (current < 13) {
    throw new GraphError('unsupported_graph', `operator set ${current} is too old: export the model with 18 or later`);
  }
  const changed = graph.nodes.find((node) => current < 18 && !node.domain && CHANGED_AT_18.test(node.opType));
  if (changed) {
    const message = `${changed.opType} (${changed.name}) means something else since operator set 18; the graph has ${current}`;
    throw new GraphError('unsupported_graph', `${message}: export the model with 18 or later`);
  }
  imported.version = version;
  model.irVersion = Math.max(toNumber(model.irVersion), IR_VERSION);
}
