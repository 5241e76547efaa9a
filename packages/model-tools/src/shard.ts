/**
 * Moves a model's weights into files of a bounded size (git hosts and registries refuse big ones). One tensor is in
 * memory at a time.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel, encodeModel, isExternal, ShardWriter, tensorBytes } from '@forerunner/onnx-graph';
import { copyCompanions, createFolder, type ModelFolder } from './model-folder.ts';

const MIN_EXTERNAL_BYTES = 1_024;

/** Writes outDir/model.onnx and model.onnx.data-00, -01 … of at most maxFileBytes; a larger tensor gets its own. */
export function shardExternalData(source: ModelFolder, outDir: string, maxFileBytes: number): string[] {
  createFolder(outDir);
  const model = decodeModel(source.graphBytes);
  const shards = new ShardWriter(outDir, maxFileBytes);
  try {
    for (const tensor of model.graph.initializer) {
      if (!isExternal(tensor) && (tensor.rawData?.length ?? 0) < MIN_EXTERNAL_BYTES) continue;
      shards.add(tensor, tensorBytes(tensor, source.graphDir));
    }
  } finally {
    shards.close();
  }
  writeFileSync(join(outDir, 'model.onnx'), encodeModel(model));
  copyCompanions(source, outDir);
  return shards.fileNames;
}
