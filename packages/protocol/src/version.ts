/** Version of the wire between the three services. Both sides state it on every call and refuse another one. */
export const PROTOCOL_VERSION = 3;
/** Binary frames; the same routes speak application/json for people. */
export const FRAME_CONTENT_TYPE = 'application/vnd.forerunner.frame';
export const REQUEST_ID_HEADER = 'x-request-id';
