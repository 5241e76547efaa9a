/** Settings of the coordinator. Reasons, defaults and units stand on the fields; docs are generated from them. */
import { MAX_SPECULATIVE_TOKENS } from '@forerunner/protocol';
import {
  commonSettings,
  flagSetting,
  integerSetting,
  isServiceUrl,
  optionalIntegerSetting,
  optionalNumberSetting,
  optionalSetting,
  stringSetting,
} from '@forerunner/service-kit';
import { z } from 'zod';

/** In place of a URL: the draft's engine runs within the coordinator's process. */
export const EMBEDDED = 'embedded';

/** Where the replicas of a model service answer. `expected` says what they must be. */
function readUrls(text: string, context: z.RefinementCtx, expected: string): readonly string[] {
  const urls = text.split(',').map((part) => part.trim());
  if (!urls.every(isServiceUrl)) context.addIssue({ code: 'custom', message: `must be ${expected}` });
  return urls;
}

const expectedUrls = (example: string) => `URLs such as ${example}, without a path, separated by commas`;

const targetUrls = z.string().transform((text, context) => readUrls(text, context, expectedUrls('http://host:8002')));

const draftUrls = z.string().transform((text, context) => {
  const word = text.trim();
  if (word === '') return null;
  if (word === EMBEDDED) return EMBEDDED;
  return readUrls(word, context, `${expectedUrls('http://host:8001')}; ${EMBEDDED} alone; or nothing`);
});

const nameList = z.string().transform((text, context) => {
  const names = text.split(',').map((part) => part.trim());
  for (const name of names) {
    if (!/^[\w.:/@-]{1,128}$/.test(name)) {
      const message = 'must be names of A-Z a-z 0-9 _ . : / @ -, separated by commas';
      context.addIssue({ code: 'custom', message });
    }
  }
  return names;
});

const originList = z.string().transform((text, context) => {
  const origins = text.split(',').map((part) => part.trim());
  for (const origin of origins) {
    if (origin !== '*' && (!URL.canParse(origin) || new URL(origin).origin !== origin)) {
      context.addIssue({ code: 'custom', message: 'must be origins such as https://app.example, separated by commas' });
    }
  }
  return origins;
});

export const coordinatorSettings = z.object({
  ...commonSettings,
  PORT: integerSetting({ default: 8080, min: 0, max: 65_535, reason: 'Port to listen on; 0 picks a free one.' }),
  DRAFT_ENDPOINT: draftUrls.default(['http://127.0.0.1:8001']).meta({
    takesBlank: true,
    description:
      'Where draft-services answer: URLs separated by commas; a host name with several addresses is as many replicas (docs/pools.md). Answers go on with another one when theirs fails. embedded: there is none, and the draft runs within the coordinator (settings below), which spares every round the way there and back. Set to nothing: guesses come from prompts, answers and predictions alone.',
  }),
  TARGET_ENDPOINT: targetUrls.default(['http://127.0.0.1:8002']).meta({
    description:
      'Where target-services answer: URLs separated by commas; a host name with several addresses is as many replicas (docs/pools.md). Prompts that begin alike go to the same one while it has no more than its share of answers; a request stays on one and moves to another when that one dies.',
  }),
  MAX_DRAFT_TOKENS: integerSetting({
    default: 8,
    min: 0,
    max: MAX_SPECULATIVE_TOKENS,
    unit: 'tokens',
    reason: 'Largest draft_k that a request may ask for; a larger one is refused. 0 turns drafting off.',
  }),
  DEFAULT_DRAFT_TOKENS: optionalIntegerSetting({
    min: 0,
    max: MAX_SPECULATIVE_TOKENS,
    unit: 'tokens',
    reason:
      'draft_k of requests that name none (at most MAX_DRAFT_TOKENS), for guesses of the draft. Unset: auto, as many as pay, by measured costs and acceptance (docs/tune-k.md).',
  }),
  DEFAULT_MIN_CONFIDENCE: optionalNumberSetting({
    min: 0,
    max: 1,
    unit: 'probability',
    reason:
      'min_confidence of requests that name neither it nor a draft_k: a proposal ends after a token that the draft gives less. Unset: where a further guess does not pay, or never with DEFAULT_DRAFT_TOKENS.',
  }),
  PROMPT_LOOKUP: flagSetting({
    default: true,
    reason:
      'Guess what the prompt and the answer so far repeat, for requests that do not say (prompt_lookup). Costs no call to a service.',
  }),
  MODELS_DIR: optionalSetting({ reason: 'Folder with catalogue.json; default: models/ beside the services.' }),
  MODEL_SIZE: stringSetting({ default: '135m', reason: 'Catalogue name of the target, whose tokenizer is used.' }),
  MODEL_DIR: optionalSetting({ reason: "The target's folder itself; overrides MODEL_SIZE." }),
  MODEL_ALIASES: nameList.default([]).meta({
    description:
      'Further names that requests may give as "model", separated by commas, for clients that have one of OpenAI\'s built in.',
  }),
  STRICT_REQUESTS: flagSetting({
    default: true,
    reason: 'Fields that no route knows are refused by name (400). false: they are ignored, and logged by name.',
  }),
  MAX_CONCURRENT_REQUESTS: integerSetting({
    default: 16,
    min: 1,
    max: 4096,
    unit: 'requests',
    reason: 'Requests generated at once; further ones wait.',
  }),
  MAX_WAITING_REQUESTS: integerSetting({
    default: 32,
    min: 0,
    max: 65_536,
    unit: 'requests',
    reason: 'Requests that may wait; further ones are refused with 429 before any work starts.',
  }),
  MAX_BODY_BYTES: integerSetting({
    default: 1 << 20,
    min: 1024,
    max: 1 << 28,
    unit: 'bytes',
    reason: 'Largest request body.',
  }),
  DRAFT_TIMEOUT_MS: integerSetting({
    default: 1000,
    min: 1,
    max: 600_000,
    unit: 'milliseconds',
    reason:
      'A proposal that takes longer is given up: the answer goes on with the target alone. Each 256 tokens that the draft has yet to read give it as much again.',
  }),
  TARGET_TIMEOUT_MS: integerSetting({
    default: 60_000,
    min: 1,
    max: 3_600_000,
    unit: 'milliseconds',
    reason:
      'A call of the target that takes longer fails over to another replica, or fails the request with 503. Each 1,024 tokens of a prompt give it as much again.',
  }),
  HIDDEN_STATE_WINDOW_KIB: integerSetting({
    default: 2048,
    min: 1,
    max: 1 << 20,
    unit: 'KiB',
    reason:
      'Hidden states kept per request for a draft that reads them, in case it loses the text; also the most of a prompt that it is given.',
  }),
  GRAMMAR_COMPILE_TIMEOUT_MS: integerSetting({
    default: 10_000,
    min: 1,
    max: 600_000,
    unit: 'milliseconds',
    reason:
      'A schema or grammar of a request that takes longer to compile is refused. Compiling blocks no other answer.',
  }),
  REQUEST_TIMEOUT_S: integerSetting({
    default: 600,
    min: 1,
    max: 86_400,
    unit: 'seconds',
    reason: 'Longest life of a request, waiting and a slow reader included; then it ends with request_timeout.',
  }),
  API_KEYS_FILE: optionalSetting({
    reason: 'File of API keys (`forerunner key` makes them). Unset: everybody may ask. Read again when it changes.',
  }),
  RATE_LIMIT_PER_MINUTE: integerSetting({
    default: 0,
    min: 0,
    max: 1_000_000,
    unit: 'requests a minute',
    reason: 'Per key, or per address where there are no keys; a key may have its own. 0: no limit.',
  }),
  MAX_CONCURRENT_PER_KEY: integerSetting({
    default: 0,
    min: 0,
    max: 65_536,
    unit: 'requests',
    reason: 'Requests of one key at the same time; a key may have its own limit. 0: no limit.',
  }),
  METRICS_TOKEN: optionalSetting({ reason: 'Bearer token that /metrics demands. Unset: /metrics is open.' }),
  CORS_ORIGINS: originList.default([]).meta({
    description: 'Origins whose pages may call this server from a browser, separated by commas; * is all. Empty: none.',
  }),
  TLS_CERT_FILE: optionalSetting({
    reason: 'Certificate chain (PEM). With TLS_KEY_FILE the server speaks HTTPS only.',
  }),
  TLS_KEY_FILE: optionalSetting({ reason: 'Private key (PEM) of TLS_CERT_FILE.' }),
  PEER_CHECK_INTERVAL_MS: integerSetting({
    default: 1000,
    min: 50,
    max: 600_000,
    unit: 'milliseconds',
    reason:
      'How often host names are looked up and model cards fetched again: how soon replicas that come, go or restart are noticed.',
  }),
});
export type CoordinatorConfig = z.output<typeof coordinatorSettings>;
