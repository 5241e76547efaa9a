/** A coordinator that is installed without the draft's engine, as in its image. */
import { ConfigError, createLogger, createRegistry } from '@forerunner/service-kit';
import { expect, it, vi } from 'vitest';
import { openEmbeddedDraft } from '../src/embedded-draft.ts';

vi.mock('@forerunner/draft-service/embedded', () => {
  throw new Error('Cannot find package');
});

it('says that there is no engine where an embedded draft is asked for', async () => {
  const opening = openEmbeddedDraft({}, createLogger('test', 'silent'), createRegistry('speculative-coordinator'));
  await expect(opening).rejects.toThrow(ConfigError);
  await expect(opening).rejects.toThrow(/^DRAFT_ENDPOINT=embedded: this installation has no draft engine/);
});
