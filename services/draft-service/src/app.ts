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
  checkHiddenStates(request, hiddenStatesWidth);
}

function checkHiddenStates(request: ProposeRequest, width: number): void {
  const { position, hidden_states: hiddenStates, hidden_states_from: from = position } = request;
  if (width === 0) {
    const given = (['hidden_states', 'hidden_states_from'] as const).find((name) => request[name] !== undefined);
    if (given) throw new ServiceError('invalid_request', `"${given}": this draft takes none`);
    return;
  }
  const end = position + request.token_ids.length;
  const last = request.num_speculative_tokens > 0 ? end - 1 : end; // a proposal follows a token that is computed
  if (from < position || from > last) {
    const message = `"hidden_states_from": must be from ${position} to ${last}, got ${from}`;
    throw new ServiceError('invalid_request', message);
  }
  const numValues = hiddenStates?.length;
  if ((numValues ?? 0) !== (end - from) * width) {
    const got = numValues === undefined ? 'none' : `${numValues} values`;
    const want = `${width} for each of the ${end - from} token_ids${from > position ? ` from ${from} on` : ''}`;
    throw new ServiceError('invalid_request', `"hidden_states": this draft needs ${want}, got ${got}`);
  }
}
