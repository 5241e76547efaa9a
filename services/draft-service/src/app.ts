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
    serveCall(routes, '/v1/propose', proposeRequestSchema, async (request, wish, signal) => {
      check(request, model.info.featureWidth);
      const tokenIds = detachable(request.token_ids);
      const features = request.features && detachable(request.features);
      const transfer = [tokenIds, ...(features ? [features] : [])].map((section) => section.buffer as ArrayBuffer);
      return model.call(
        'propose',
        { request: { ...request, token_ids: tokenIds, features }, wish },
        { signal, transfer },
      );
    });
  });
}

/** What a schema cannot know. Errors: ServiceError protocol_mismatch | invalid_request. */
function check(request: ProposeRequest, featureWidth: number): void {
  checkProtocolVersion(request.protocol_version);
  const numTokens = request.token_ids.length;
  if (numTokens === 0)
    throw new ServiceError('invalid_request', '"token_ids": must have at least one token id, got none');
  const numValues = request.features?.length;
  if (featureWidth === 0 && numValues !== undefined) {
    throw new ServiceError('invalid_request', '"features": this draft takes none');
  }
  if (featureWidth > 0 && numValues !== numTokens * featureWidth) {
    const got = numValues === undefined ? 'none' : `${numValues} values`;
    const want = `${featureWidth} for each of the ${numTokens} token_ids`;
    throw new ServiceError('invalid_request', `"features": this draft needs ${want}, got ${got}`);
  }
}
