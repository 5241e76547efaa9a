/** What both sides of a channel do with its socket. */
import type { Socket } from 'node:net';
import { channelHead } from '@forerunner/protocol';

/** A peer that is gone without a word is noticed after some of these. */
const KEEP_ALIVE_MS = 30_000;

/** How both sides set an upgraded connection up. */
export function prepareSocket(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.setTimeout(0); // HTTP's
}

/** One write for the kernel, no copy of the body. */
export function sendMessage(socket: Socket, head: string, body: Uint8Array): void {
  socket.cork();
  socket.write(channelHead(head, body.byteLength));
  if (body.byteLength > 0) socket.write(body);
  socket.uncork();
}
