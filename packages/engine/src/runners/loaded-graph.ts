/**
 * What is done to a graph in memory before it runs as its file has it, one sequence a pass: the head learns for how many rows
 * it is wanted, where the exporter left that out (a prompt's rows of logits would all be computed, and on a device all be
 * fetched). What cannot run like that is refused.
 */
import { addNumLogitsToKeep, decodeModel, GraphError, windowedCacheLayers } from '@forerunner/onnx-graph';
import { modelUnsupported } from '../errors.ts';
import type { EngineLog } from '../log.ts';

/** The same bytes, where there is nothing to do. Errors: EngineError model_unsupported. */
export function graphAsLoaded(bytes: Uint8Array, log?: EngineLog): Uint8Array {
  const [windowed] = windowedCacheLayers(decodeModel(bytes).graph);
  if (windowed !== undefined) {
    const message = `${windowed} keeps a cache of its window only (sliding_window_cache), which this runner cannot do: export with windowed_kv_cache=false, or use RUNTIME=native`;
    throw modelUnsupported(message, { node: windowed });
  }
  try {
    return addNumLogitsToKeep(bytes);
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    if (error.code !== 'already_done') {
      log?.('info', 'every pass computes the logits of all its rows', { reason: error.message });
    }
    return bytes;
  }
}
