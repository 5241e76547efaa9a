/** The target-service: one pass over the new tokens of a sequence, one row per position. The only composition root. */
import { createModelApp, detachable, type ModelAppDeps, serveCall } from '@forerunner/model-service';
import {
  checkProtocolVersion,
  type ModelCard,
  type ScoreRequest,
  ServiceError,
  scoreRequestSchema,
} from '@forerunner/protocol';
import { numMaskWords } from '@forerunner/sampling';
import type { ServiceApp } from '@forerunner/service-kit';
import type { TargetConfig } from './config.ts';
import type { TargetMethods } from './engine.ts';

/** Most bytes of rows in one reply. */
const MAX_ROW_BYTES = 2 ** 28;

export function buildTargetApp(
  config: Pick<TargetConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<TargetMethods>,
): ServiceApp {
  const { model, card } = deps;
  return createModelApp(config, deps, (routes) => {
    serveCall(routes, '/v1/score', scoreRequestSchema, async (given, replyOptions, signal) => {
      const request = checked(given, model.info, card);
      const tokenIds = detachable(request.token_ids);
      const allowedTokens = request.allowed_tokens && detachable(request.allowed_tokens);
      const moved = [tokenIds, ...(allowedTokens ? [allowedTokens] : [])];
      return model.call(
        'score',
        { request: { ...request, token_ids: tokenIds, allowed_tokens: allowedTokens }, replyOptions },
        { signal, transfer: moved.map((section) => section.buffer as ArrayBuffer) },
      );
    });
  });
}

/** What a schema cannot know. Errors: ServiceError protocol_mismatch | model_mismatch | invalid_request | unsupported_value. */
function checked(
  request: ScoreRequest,
  facts: ModelAppDeps<TargetMethods>['model']['info'],
  card: ModelCard,
): ScoreRequest & { num_rows: number } {
  checkProtocolVersion(request.protocol_version);
  const { model_digest: wanted } = request;
  if (wanted !== undefined && wanted !== card.model_digest) {
    throw new ServiceError(
      'model_mismatch',
      `"model_digest": the request is for model ${wanted.slice(0, 12)}, ` +
        `this service has "${card.model_id}" (${card.model_digest.slice(0, 12)})`,
      { model_digest: card.model_digest },
    );
  }
  const numTokens = request.token_ids.length;
  if (numTokens === 0)
    throw new ServiceError('invalid_request', '"token_ids": must have at least one token id, got none');
  const numRows = request.num_rows ?? numTokens;
  if (numRows > numTokens) {
    throw new ServiceError('invalid_request', `"num_rows": must be at most the ${numTokens} token_ids, got ${numRows}`);
  }
  const numBytes = request.rows === 'argmax' && !request.include_logits ? 0 : numRows * facts.vocabSize * 4;
  if (numBytes > MAX_ROW_BYTES) {
    const most = Math.floor(MAX_ROW_BYTES / facts.vocabSize / 4);
    throw new ServiceError(
      'unsupported_value',
      `"num_rows": must be at most ${most} for ${request.rows}, got ${numRows}`,
    );
  }
  if (request.include_hidden_states && !facts.hiddenStates) {
    throw new ServiceError('unsupported_value', '"include_hidden_states": this model has no such output');
  }
  checkHiddenStatesFrom(request);
  checkAllowedTokens(request, numRows, facts.vocabSize);
  return { ...request, num_rows: numRows };
}

function checkAllowedTokens({ allowed_tokens: words }: ScoreRequest, numRows: number, vocabSize: number): void {
  if (words === undefined) return;
  const numWords = numMaskWords(vocabSize);
  if (words.length % numWords === 0 && words.length <= numRows * numWords) return;
  throw new ServiceError(
    'invalid_request',
    `"allowed_tokens": must be ${numWords} words for each of at most ${numRows} rows, got ${words.length}`,
  );
}

function checkHiddenStatesFrom(request: ScoreRequest): void {
  const { hidden_states_from: from, include_hidden_states: isWanted, position, token_ids: tokenIds } = request;
  if (from === undefined) return;
  if (!isWanted) throw new ServiceError('invalid_request', '"hidden_states_from": needs include_hidden_states');
  const last = position + tokenIds.length - 1;
  if (from >= position && from <= last) return;
  const message = `"hidden_states_from": must be from ${position} to ${last}, the positions of token_ids, got ${from}`;
  throw new ServiceError('invalid_request', message);
}
