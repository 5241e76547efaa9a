const REQUEST_ID = /^[A-Za-z0-9_.:-]{1,128}$/;

/** Fit to be logged and sent on as it is. */
export function isRequestId(given: unknown): given is string {
  return typeof given === 'string' && REQUEST_ID.test(given);
}
