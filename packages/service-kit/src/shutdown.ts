/** Starting and ending a process: listen, say so, drain on SIGTERM or SIGINT, exit 0. */

import { ConfigError } from './config.ts';
import type { Logger } from './logger.ts';
import type { ServiceApp } from './service-app.ts';

export interface ServeOptions {
  readonly app: ServiceApp;
  readonly logger: Logger;
  readonly host: string;
  readonly port: number;
  readonly shutdownTimeoutMs: number;
  /** Called when draining begins: readiness should turn false, long streams may be told. */
  readonly onDrain?: () => void;
  /** Frees what the app itself does not own, after the last request. */
  readonly onClosed?: () => Promise<void>;
}

/** Listens and arranges the way out. Errors: ConfigError when the port is taken. */
export async function serve(options: ServeOptions): Promise<void> {
  const { app, logger, host, port } = options;
  try {
    const address = await app.listen({ host, port });
    logger.info({ address }, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new ConfigError(`port ${port} on ${host} is taken; set PORT to another one`);
    }
    throw error;
  }

  let draining = false;
  const drain = (signal: string) => {
    if (draining) return;
    draining = true;
    logger.info({ signal }, 'draining');
    options.onDrain?.();
    // A request that outlives the deadline must not keep the process: better one broken answer than a stuck rollout.
    setTimeout(() => {
      logger.error({ timeoutMs: options.shutdownTimeoutMs }, 'shutdown timed out');
      process.exit(1);
    }, options.shutdownTimeoutMs).unref();
    app
      .close()
      .then(() => options.onClosed?.())
      .then(
        () => {
          logger.info('closed');
          process.exit(0);
        },
        (error: unknown) => {
          logger.error({ err: error }, 'shutdown failed');
          process.exit(1);
        },
      );
  };
  process.on('SIGTERM', drain);
  process.on('SIGINT', drain);
}

/** Runs a service's main function; a failed start is one readable line and exit code 1. */
export async function runMain(service: string, main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const readable = error instanceof ConfigError || (error instanceof Error && 'code' in error);
    process.stderr.write(
      `${service}: ${readable ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`,
    );
    process.exit(1);
  }
}
