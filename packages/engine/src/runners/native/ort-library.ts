/**
 * Finds and loads ONNX Runtime's shared library: the very one that onnxruntime-node ships, unless a path is given. Knows
 * koffi and the file layout; knows nothing of the API inside.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { runtimeUnavailable } from '../../errors.ts';

export interface OrtLibrary {
  readonly path: string;
  readonly handle: LibraryHandle;
}

/**
 * Never emptied: koffi unloads a library whose handle is collected, and pointers read from OrtApi do not count as
 * references, so the process would jump into unmapped memory after the next full collection.
 */
let loaded: OrtLibrary | undefined;

/** One library a thread. Errors: EngineError runtime_unavailable. */
export function loadOrtLibrary(wanted?: string): OrtLibrary {
  if (loaded && (wanted === undefined || wanted === loaded.path)) return loaded;
  const path = wanted ?? bundledLibraryPath();
  if (loaded) {
    throw runtimeUnavailable(`this thread already runs ${loaded.path}; ${path} cannot be loaded beside it`);
  }
  // ONNX Runtime reports home unless told otherwise before it loads. In a worker thread process.env is a copy, so the
  // process that starts workers must set it itself.
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
  try {
    // Each native call runs on a stack of koffi's own; 64 KiB crashed, kernels use alloca and recursion. Has to be said
    // before the first load of the thread.
    koffi.config({ sync_stack_size: 8 << 20, async_stack_size: 4 << 20 });
    loaded = { path, handle: koffi.load(path) };
    return loaded;
  } catch (cause) {
    throw runtimeUnavailable(`cannot load ${path}: ${(cause as Error).message}`, cause);
  }
}

function bundledLibraryPath(): string {
  let packageDir: string;
  try {
    packageDir = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  } catch (cause) {
    throw runtimeUnavailable('onnxruntime-node is not installed, and the native runtime uses its library', cause);
  }
  const folder = join(packageDir, 'bin/napi-v6', process.platform, process.arch);
  const name = listOf(folder).find((file) => /^(lib)?onnxruntime(\.so\.\d+|[.\d]*\.dylib|\.dll)$/.test(file));
  if (name) return join(folder, name);
  throw runtimeUnavailable(`onnxruntime-node ships no library for ${process.platform} ${process.arch}`);
}

function listOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
