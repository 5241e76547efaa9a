/**
 * Lets the caller say for how many of the last rows the head shall run: the input `num_logits_to_keep` (int64 scalar;
 * 0 = all rows). The head is the dearest product of a small model, and a prefill wants one row of it or none.
 */
import { GraphError } from '../errors.ts';
import { rewriteModel } from '../graph.ts';
import { findLmHead } from '../head.ts';
import { dimsOf, int64Tensor, makeValueInfo } from '../nodes.ts';
import { DataType } from '../onnx.ts';

const INPUT = 'num_logits_to_keep';
const INT64_MAX = 2n ** 63n - 1n;

/** logits becomes [batch, num_logits, vocab]. Errors: GraphError unsupported_graph | already_done. */
export function addNumLogitsToKeep(modelBytes: Uint8Array): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    if (graph.input(INPUT)) throw new GraphError('already_done', `the graph already has an input ${INPUT}`);
    const head = findLmHead(graph);
    const [between] = head.picksRowsBy;
    if (between) {
      const what = `${between.opType} (${between.name})`;
      throw new GraphError('unsupported_graph', `the graph picks the head's rows by itself, with ${what}`);
    }
    const zero = graph.addInitializer(int64Tensor('/keep/zero', [1], [0n]));
    const end = graph.addInitializer(int64Tensor('/keep/end', [1], [INT64_MAX]));
    const axis = graph.addInitializer(int64Tensor('/keep/axis', [1], [1n]));
    graph.proto.input.push(makeValueInfo(INPUT, DataType.int64, []));
    const negative = graph.insert({ op: 'Neg', name: '/keep/neg', inputs: [INPUT] }, head.node);
    // −0 = 0: from the first row on, that is all of them.
    const start = graph.insert({ op: 'Unsqueeze', name: '/keep/start', inputs: [negative, zero] }, head.node);
    const rows = head.node.input[0] ?? '';
    const kept = graph.insert({ op: 'Slice', name: '/keep/hidden', inputs: [rows, start, end, axis] }, head.node);
    head.node.input[0] = kept;

    const [batch = 'batch_size', , vocab = '?'] = dimsOf(graph.output('logits')) ?? [];
    for (const output of graph.proto.output) {
      if (output.name !== 'logits') continue;
      const elemType = output.type.tensorType?.elemType ?? head.elemType;
      output.type = makeValueInfo('logits', elemType, [batch, 'num_logits', vocab]).type;
    }
    // What the exporter declared between head and logits speaks of all rows.
    const stale = new Set(graph.nodes.slice(graph.nodes.indexOf(head.node)).flatMap((node) => node.output));
    graph.proto.valueInfo = graph.proto.valueInfo.filter((value) => !stale.has(value.name));
  });
}
