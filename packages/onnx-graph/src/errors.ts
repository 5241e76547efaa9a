/** Why a graph cannot be read or rewritten. The message is for the person who serves or imports the model. */

export type GraphErrorCode = 'not_onnx' | 'unsupported_graph' | 'already_done' | 'weights_unreadable';

export class GraphError extends Error {
  override readonly name = 'GraphError';
  readonly code: GraphErrorCode;

  constructor(code: GraphErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
