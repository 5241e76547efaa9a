/** Errors whose message is for the person at the terminal; any other is a defect and keeps its stack. */
import { ArchitectureError } from '@forerunner/architecture';
import { EngineError } from '@forerunner/engine';
import { HubError } from '@forerunner/hub';
import { ImportError } from '@forerunner/model-import';
import { ModelToolError } from '@forerunner/model-tools';
import { GraphError } from '@forerunner/onnx-graph';
import { SamplingError } from '@forerunner/sampling';
import { ConfigError } from '@forerunner/service-kit/config-error';

const EXPECTED = [
  ArchitectureError,
  ConfigError,
  EngineError,
  GraphError,
  HubError,
  ImportError,
  ModelToolError,
  SamplingError,
];

export function isExpected(error: unknown): boolean {
  return EXPECTED.some((kind) => error instanceof kind) || isFromFileSystem(error);
}

/** ENOSPC, EACCES, ENOENT …: Node's message names the path. */
function isFromFileSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'path' in error;
}
