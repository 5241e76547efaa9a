/** The draft-service: guesses how a sequence goes on. The only composition root. */
import { createModelApp, detachable, type ModelAppDeps, replyFromWorker } from '@forerunner/model-service';
import { checkProtocolVersion, type ProposeRequest, proposeRequestSchema, ServiceError } from '@forerunner/protocol';
import type { ServiceApp } from '@forerunner/service-kit';
import type { DraftConfig } from './config.ts';
import type { DraftMethods } from './worker.ts';

export function buildDraftApp(
  config: Pick<DraftConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<DraftMethods>,
): ServiceApp {
  const { model } = deps;
  return createModelApp(config, deps, (v1) => {
    v1.post(
      '/v1/propose',
      { schema: { body: proposeRequestSchema }, config: { isRoutine: true } },
      async (request, reply) => {
        check(request.body, model.info.featureWidth);
        const tokenIds = detachable(request.body.token_ids);
        const features = request.body.features && detachable(request.body.features);
        const transfer = [tokenIds, ...(features ? [features] : [])].map((section) => section.buffer as ArrayBuffer);
        return replyFromWorker(request, reply, (wish, signal) =>
          model.call(
            'propose',
            { request: { ...request.body, token_ids: tokenIds, features }, wish },
            { signal, transfer },
          ),
        );
      },
    );
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
