/** The target-service: one pass over the new tokens of a sequence, one row per position. The only composition root. */
import { createModelApp, detachable, type ModelAppDeps, serveCall } from '@forerunner/model-service';
import {
  checkProtocolVersion,
  type ModelCard,
  type ScoreRequest,
  ServiceError,
  scoreRequestSchema,
  VERDICT_RULES,
} from '@forerunner/protocol';
import { numMaskWords } from '@forerunner/sampling';
import type { ServiceApp } from '@forerunner/service-kit';
import type { TargetConfig } from './config.ts';
import type { TargetMethods } from './engine.ts';
import { draftDistributionsOf } from './row-readers.ts';

/** Most bytes of rows that one request keeps. */
const MAX_ROW_BYTES = 2 ** 28;

export function buildTargetApp(
  config: Pick<TargetConfig, 'MAX_BODY_BYTES' | 'SERVICE_TOKEN'>,
  deps: ModelAppDeps<TargetMethods>,
): ServiceApp {
  const { model, card } = deps;
  return createModelApp(config, deps, (routes) => {
    serveCall(routes, '/v1/score', scoreRequestSchema, async (given, replyOptions, signal) => {
      const request = checked(given, model.info, card);
      const sections = detachedSections(request);
      const transfer = Object.values(sections).map((section) => section.buffer as ArrayBuffer);
      return model.call('score', { request: { ...request, ...sections }, replyOptions }, { signal, transfer });
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
  const keepsRows = request.rows !== 'argmax' && request.rows !== 'samples';
  const numBytes = keepsRows ? numRows * facts.vocabSize * 4 : 0;
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
  checkVerdict(request, numRows, facts.vocabSize);
  checkAllowedTokens(request, numRows, facts.vocabSize);
  return { ...request, num_rows: numRows };
}

/** Errors: invalid_request, malformed_frame. */
function checkVerdict(request: ScoreRequest, numRows: number, vocabSize: number): void {
  const { rows, verification, num_top_logprobs: numTopLogprobs } = request;
  const fail = (why: string): never => {
    throw new ServiceError('invalid_request', why);
  };
  if ((rows === 'probs' || rows === 'logits') && numTopLogprobs !== undefined)
    fail(`"num_top_logprobs": ${rows} are whole rows, of which the caller can compute them`);
  if (rows !== 'verdict') {
    const given = (['verification', 'prob_offsets', 'prob_token_ids', 'probs'] as const).find(
      (name) => request[name] !== undefined,
    );
    if (given) fail(`"${given}": needs rows "verdict", got "${rows}"`);
    return;
  }
  if (!verification) fail(`"verification": a verdict needs ${VERDICT_RULES.join(' or ')}`);
  if (numRows === 0) fail('"num_rows": a verdict needs at least 1, the guesses and one more, got 0');
  if (!request.prob_offsets && (request.prob_token_ids || request.probs)) fail('"prob_offsets": is missing');
  const numDistributions = draftDistributionsOf(request, vocabSize).length;
  if (request.prob_offsets && numDistributions !== numRows - 1)
    fail(`"prob_offsets": must be of ${numRows - 1} distributions, one for each guess, got ${numDistributions}`);
}

/** The request's arrays, with memory of their own. */
function detachedSections(request: ScoreRequest) {
  const { allowed_tokens, prob_offsets, prob_token_ids, probs } = request;
  return {
    token_ids: detachable(request.token_ids),
    ...(allowed_tokens && { allowed_tokens: detachable(allowed_tokens) }),
    ...(prob_offsets && { prob_offsets: detachable(prob_offsets) }),
    ...(prob_token_ids && { prob_token_ids: detachable(prob_token_ids) }),
    ...(probs && { probs: detachable(probs) }),
  };
}

/** Errors: invalid_request. */
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
