/** Do this draft and this target belong together? Decided by content, answered in one sentence. */
import { type ModelCard, PROTOCOL_VERSION } from '@forerunner/protocol';

/** null when they fit, else the reason, naming both sides. */
export function findMismatch(draft: ModelCard, target: ModelCard): string | null {
  const pair = `draft "${draft.model_id}" and target "${target.model_id}" do not fit`;
  for (const card of [draft, target]) {
    if (card.protocol_version !== PROTOCOL_VERSION) {
      return `${card.service} speaks protocol version ${card.protocol_version}, the coordinator ${PROTOCOL_VERSION}`;
    }
  }
  if (draft.tokenizer_fingerprint !== target.tokenizer_fingerprint) {
    return (
      `${pair}: their tokenizers differ in content ` +
      `(${draft.tokenizer_fingerprint.slice(0, 12)} and ${target.tokenizer_fingerprint.slice(0, 12)})`
    );
  }
  if (draft.vocab_size > target.vocab_size) {
    return `${pair}: the draft's vocabulary of ${draft.vocab_size} exceeds the target's ${target.vocab_size}`;
  }
  const wanted = draft.hidden_states_wanted;
  if (!wanted) return null;
  const offered = target.hidden_states_offered;
  if (!offered || offered.name !== wanted.name || offered.width !== wanted.width || offered.dtype !== wanted.dtype) {
    const offer = offered ? `offers ${offered.name} of width ${offered.width}` : 'offers no hidden states';
    return `${pair}: the draft wants ${wanted.name} of width ${wanted.width}, the target ${offer}`;
  }
  return null;
}

/**
 * null, or why guesses may be worse than they could be. Not a misfit: hidden states steer guesses and nothing else, and a
 * draft for one precision of a target serves its other precisions well.
 */
export function findWarning(draft: ModelCard, target: ModelCard): string | null {
  const trainedFor = draft.hidden_states_wanted?.target_digest ?? null;
  if (trainedFor === null || trainedFor === target.model_digest) return null;
  return (
    `draft "${draft.model_id}" was trained on the hidden states of another target (digest ${trainedFor.slice(0, 12)}) ` +
    `than "${target.model_id}" (${target.model_digest.slice(0, 12)}): watch its acceptance`
  );
}

/** Why a target cannot serve here, in one sentence; null: it can. With another protocol or tokenizer answers would be nonsense. */
export function refuseTarget(card: ModelCard, tokenizerFingerprint: string): string | null {
  if (card.protocol_version !== PROTOCOL_VERSION) {
    return (
      `target "${card.model_id}" speaks protocol version ${card.protocol_version}, ` +
      `the coordinator ${PROTOCOL_VERSION}`
    );
  }
  if (card.tokenizer_fingerprint === tokenizerFingerprint) return null;
  return (
    `the coordinator's tokenizer (${tokenizerFingerprint.slice(0, 12)}) is not that of target "${card.model_id}" ` +
    `(${card.tokenizer_fingerprint.slice(0, 12)}): give it the target's MODEL_SIZE or MODEL_DIR`
  );
}

/** A model for people: its id, and the beginning of its digest, by which two of one id differ. */
export function nameOf({ model_id, model_digest }: ModelCard): string {
  return `"${model_id}" (${model_digest.slice(0, 12)})`;
}
