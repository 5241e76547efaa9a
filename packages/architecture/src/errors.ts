/** A config.json that cannot be described. The message names the field or the family. */

export type ArchitectureErrorCode = 'unsupported_architecture' | 'bad_config';

export class ArchitectureError extends Error {
  override readonly name = 'ArchitectureError';
  readonly code: ArchitectureErrorCode;

  constructor(code: ArchitectureErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
