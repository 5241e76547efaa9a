// Deletes from an installed node_modules what only other platforms load:
// onnxruntime-node ships the runtime for five (288 MB, of which one needs 46).
// koffi installs the binary of this platform alone.
//
//   node scripts/docker/prune-platforms.mjs <dir that holds node_modules>
import { globSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';

const mine = sep + join(process.platform, process.arch);
const runtimes = globSync(
  join(process.argv[2], 'node_modules/.pnpm/onnxruntime-node@*/node_modules/onnxruntime-node/bin/napi-v*/*/*'),
);
const others = runtimes.filter((dir) => !dir.endsWith(mine));
if (runtimes.length > 0 && others.length === runtimes.length) {
  throw new Error(`onnxruntime-node has no runtime for ${process.platform}-${process.arch}`);
}
for (const dir of others) rmSync(dir, { recursive: true });
