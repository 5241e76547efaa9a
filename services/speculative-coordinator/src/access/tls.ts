/** TLS from two files, or none. */
import { readFileSync } from 'node:fs';
import { ConfigError } from '@forerunner/service-kit';

interface TlsFiles {
  readonly TLS_CERT_FILE?: string | undefined;
  readonly TLS_KEY_FILE?: string | undefined;
}

/** Errors: ConfigError when one file is missing or cannot be read. */
export function readTls({ TLS_CERT_FILE, TLS_KEY_FILE }: TlsFiles): { tls?: { cert: Buffer; key: Buffer } } {
  if (TLS_CERT_FILE === undefined && TLS_KEY_FILE === undefined) return {};
  if (TLS_CERT_FILE === undefined || TLS_KEY_FILE === undefined) {
    throw new ConfigError('TLS_CERT_FILE and TLS_KEY_FILE belong together; only one is set');
  }
  try {
    return { tls: { cert: readFileSync(TLS_CERT_FILE), key: readFileSync(TLS_KEY_FILE) } };
  } catch (cause) {
    throw new ConfigError(`TLS: ${(cause as Error).message}`, { cause });
  }
}
