/** Asks a model service what it serves. */
import { type ModelCard, modelCardSchema } from '@forerunner/protocol';
import type { Peer } from '@forerunner/service-kit';

const TIMEOUT_MS = 2000;

/** The card, or why there is none. Never fails. */
export async function fetchCard(client: Peer): Promise<ModelCard | Error> {
  try {
    const reply = await client.getJson('/v1/model', { requestId: 'peer-monitor', timeoutMs: TIMEOUT_MS });
    return modelCardSchema.parse(reply);
  } catch (error) {
    return error as Error;
  }
}
