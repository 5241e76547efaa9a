/** Models that rewrites are tried on, with what a check needs to run them. */

import { graphBytes, modelFolder } from '../../onnx-graph/test/models.ts';
import type { CheckedModel } from '../src/check/passes.ts';

export { graphBytes, modelFolder, plainExport, withoutNames } from '../../onnx-graph/test/models.ts';

export function checked(name: string, rewritten: Uint8Array, original = graphBytes(name)): CheckedModel {
  const headDim = name.startsWith('tiny') ? 16 : 64;
  return { original, rewritten, folder: modelFolder(name), headDim };
}
