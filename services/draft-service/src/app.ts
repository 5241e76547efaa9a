/** The draft-service: guesses how a sequence goes on. The only composition root. */
import { createModelApp, detachable, type ModelAppDeps, serveCall } from '@forerunner/model-service';
import { checkProtocolVersion, type ProposeRequest, proposeRequestSchema, ServiceError } from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import type { DraftConfig } from './config.ts';
import type { DraftMethods } from './engine.ts';

export function buildDraftApp(
  config: Pick<DraftConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<DraftMethods>,
): ServiceApp {
  const { model } = deps;
  return createModelApp(config, deps, (routes) => {
    serveCall(routes, '/v1/propose', proposeRequestSchema, async (request, replyOptions, signal) => {
      check(request, model.info.hiddenStatesWidth);
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

/** What a schema cannot know. Errors: ServiceError protocol_mismatch | invalid_request. */
function check(request: ProposeRequest, hiddenStatesWidth: number): void {
  checkProtocolVersion(request.protocol_version);
  const numTokens = request.token_ids.length;
  if (numTokens === 0)
    throw new ServiceError('invalid_request', '"token_ids": must have at least one token id, got none');
  const numValues = request.hidden_states?.length;
  if (hiddenStatesWidth === 0 && numValues !== undefined) {
    throw new ServiceError('invalid_request', '"hidden_states": this draft takes none');
  }
  if (hiddenStatesWidth > 0 && numValues !== numTokens * hiddenStatesWidth) {
    const got = numValues === undefined ? 'none' : `${numValues} values`;
    const want = `${hiddenStatesWidth} for each of the ${numTokens} token_ids`;
    throw new ServiceError('invalid_request', `"hidden_states": this draft needs ${want}, got ${got}`);
  }
}
