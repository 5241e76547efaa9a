/** What a schema cannot know of a request for guesses. */
import { type ProposeRequest, ServiceError } from '@forerunner/protocol';

/** Errors: ServiceError invalid_request. */
export function checkProposal(request: ProposeRequest, hiddenStatesWidth: number): void {
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
