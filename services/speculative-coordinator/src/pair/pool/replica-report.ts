/** A replica as GET /v1/model shows it. */
import { z } from 'zod';
import { REPLICA_STATES, type Replica } from './replica.ts';

export const replicaReportSchema = z.object({
  name: z.string(),
  state: z.enum(REPLICA_STATES),
  reason: z.string().nullable().describe('Why its model may not serve, or why it does not show it.'),
  model_digest: z.string().nullable(),
  num_answers: z.int().describe('Answers that work on it now.'),
});

export function reportOf({ name, state, refusal, card, numRunning }: Replica): z.output<typeof replicaReportSchema> {
  const isKnown = !(card instanceof Error);
  return {
    name,
    state,
    reason: refusal ?? (isKnown ? null : card.message),
    model_digest: isKnown ? card.model_digest : null,
    num_answers: numRunning,
  };
}
