/** Request bodies: JSON (strict UTF-8) and binary frames. Both end as one plain object. */
import { FRAME_CONTENT_TYPE, flattenFrame, ServiceError } from '@forerunner/protocol';
import type { ServiceApp } from './service-app.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function installBodyParsers(app: ServiceApp): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    parseJson(body),
  );
}

export function installFrameParser(app: ServiceApp): void {
  app.addContentTypeParser(FRAME_CONTENT_TYPE, { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    flattenFrame(body),
  );
}

function parseJson(body: Buffer): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw new ServiceError('invalid_encoding', 'the body is not valid UTF-8');
  }
  try {
    return JSON.parse(text, (key, value) => (key === '__proto__' ? undefined : value));
  } catch (error) {
    throw new ServiceError('invalid_json', `the body is not valid JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}
