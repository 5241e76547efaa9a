/**
 * A message in either of its forms. As a frame: header fields, and arrays as typed sections. As JSON: one flat object,
 * with the same arrays as lists of numbers. Parsing either gives one plain object, which one zod schema then checks.
 */
import { ServiceError } from './errors.ts';
import { decodeFrame, encodeFrame, type Frame } from './frame.ts';
import { FRAME_CONTENT_TYPE, PROTOCOL_VERSION } from './version.ts';

export type MessageForm = 'frame' | 'json';

export function formOf(contentType: string | undefined): MessageForm {
  return contentType?.startsWith(FRAME_CONTENT_TYPE) ? 'frame' : 'json';
}

export function encodeMessage(message: Frame, form: MessageForm): Buffer {
  if (form === 'frame') return encodeFrame(message);
  const arrays = Object.entries(message.sections).map(([name, data]) => [name, Array.from(data)]);
  return Buffer.from(JSON.stringify({ ...message.header, ...Object.fromEntries(arrays) }));
}

/** A frame as one flat object: header fields and sections side by side. Errors: malformed_frame. */
export function flattenFrame(bytes: Uint8Array): Record<string, unknown> {
  const { header, sections } = decodeFrame(bytes);
  for (const name of Object.keys(sections)) {
    if (name in header)
      throw new ServiceError('malformed_frame', `malformed frame: "${name}" is both field and section`);
  }
  return { ...header, ...sections };
}

/** Refuses a peer of another protocol version, naming both. */
export function checkProtocolVersion(version: number): void {
  if (version === PROTOCOL_VERSION) return;
  throw new ServiceError(
    'protocol_mismatch',
    `this side speaks protocol version ${PROTOCOL_VERSION}, the request is of version ${version}`,
  );
}
