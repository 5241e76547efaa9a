/**
 * Gives a target one more output, `hidden_states`: what the head reads, after the last norm, for every row of the pass
 * whatever num_logits_to_keep says. Feature drafts are conditioned on it. Nothing is computed that was not before.
 */
import { GraphError } from '../errors.ts';
import { type Graph, rewriteModel } from '../graph.ts';
import { findLmHead } from '../head.ts';
import { dimsOf, makeValueInfo } from '../nodes.ts';

const OUTPUT = 'hidden_states';

/** hidden_states [batch, sequence_length, width]. Errors: GraphError unsupported_graph | already_done. */
export function addHiddenStatesOutput(modelBytes: Uint8Array): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    if (graph.output(OUTPUT)) throw new GraphError('already_done', `the graph already has an output ${OUTPUT}`);
    const { hiddenStates, width, elemType } = findLmHead(graph);
    const [batch = 'batch_size', seq = 'sequence_length'] = dimsOf(graph.input('input_ids')) ?? [];
    nameOutput(graph, hiddenStates);
    graph.proto.valueInfo = graph.proto.valueInfo.filter((value) => value.name !== OUTPUT);
    graph.proto.output.push(makeValueInfo(OUTPUT, elemType, [batch, seq, width]));
  });
}

function nameOutput(graph: Graph, value: string): void {
  if (graph.producer(OUTPUT) && value !== OUTPUT) graph.renameValue(OUTPUT, graph.uniqueName('hidden_states.inner'));
  if (graph.output(value)) {
    graph.append({ op: 'Identity', name: graph.uniqueName('/hidden_states'), inputs: [value], outputs: [OUTPUT] });
  } else {
    graph.renameValue(value, OUTPUT);
  }
}
