/** Starts a trio of the kind that this run was decided for. */
import { inject } from 'vitest';
import { startContainers } from './container-stack.ts';
import { startProcesses } from './process-stack.ts';
import type { Stack, StackKind } from './stack.ts';

export function startStack(kind: StackKind): Promise<Stack> {
  return inject('mode') === 'containers' ? startContainers(kind) : startProcesses(kind);
}
