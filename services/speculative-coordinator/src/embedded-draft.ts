/** Loads the draft's engine into this process. Only here: a coordinator without it holds no model runtime. */
import { ConfigError, type Logger } from '@forerunner/service-kit';
import type { Registry } from 'prom-client';
import type { DraftClient } from './pair/draft-client.ts';

/** Errors: ConfigError, when this installation has no engine, or the model cannot be opened. */
export async function openEmbeddedDraft(
  env: NodeJS.ProcessEnv,
  logger: Logger,
  registry: Registry,
): Promise<DraftClient> {
  const { EmbeddedDraft } = await import('@forerunner/draft-service/embedded').catch((cause: Error) => {
    const why = `this installation has no draft engine (${cause.message})`;
    throw new ConfigError(`DRAFT_ENDPOINT=embedded: ${why}`, { cause });
  });
  return EmbeddedDraft.open({ env, logger, registry });
}
