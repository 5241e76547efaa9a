/** From the wire's words to the sampler's. */
import type { WireSampling } from '@forerunner/protocol';
import type { SamplingParams } from '@forerunner/sampling';

export function samplingParams(wire: WireSampling): SamplingParams {
  return {
    temperature: wire.temperature,
    topK: wire.top_k,
    topP: wire.top_p,
    minP: wire.min_p,
    repetitionPenalty: wire.repetition_penalty,
    presencePenalty: wire.presence_penalty,
    frequencyPenalty: wire.frequency_penalty,
    logitBias: new Map(Object.entries(wire.logit_bias).map(([id, bias]) => [Number(id), bias])),
    suppressTokens: wire.suppress_tokens,
  };
}
