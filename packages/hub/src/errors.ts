/** Why a repository was not fetched. The message is for the person who asked. */

export type HubErrorCode = 'not_found' | 'not_allowed' | 'no_space' | 'unreachable' | 'damaged' | 'nothing_to_fetch';

export class HubError extends Error {
  override readonly name = 'HubError';
  readonly code: HubErrorCode;

  constructor(code: HubErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
