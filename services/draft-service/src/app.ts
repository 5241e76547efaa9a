/** The draft-service: guesses how a sequence goes on. The only composition root. */
import { createModelApp, detachable, type ModelAppDeps, serveCall } from '@forerunner/model-service';
import { checkProtocolVersion, proposeRequestSchema } from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import { checkProposal } from './check-proposal.ts';
import type { DraftConfig } from './config.ts';
import type { DraftMethods } from './engine.ts';

export function buildDraftApp(
  config: Pick<DraftConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<DraftMethods>,
): ServiceApp {
  const { model } = deps;
  return createModelApp(config, deps, (routes) => {
    serveCall(routes, '/v1/propose', proposeRequestSchema, async (request, replyOptions, signal) => {
      checkProtocolVersion(request.protocol_version);
      checkProposal(request, model.info.hiddenStatesWidth);
      const tokenIds = detachable(request.token_ids);
      const hiddenStates = request.hidden_states && detachable(request.hidden_states);
      const transfer = [tokenIds, ...(hiddenStates ? [hiddenStates] : [])].map(
        (section) => section.buffer as ArrayBuffer,
      );
      return model.call(
        'propose',
        { request: { ...request, token_ids: tokenIds, hidden_states: hiddenStates }, replyOptions },
        { signal, transfer },
      );
    });
  });
}
