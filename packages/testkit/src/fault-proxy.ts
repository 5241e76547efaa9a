/**
 * A TCP proxy that adds faults between two services, where the kernel has no netem. Runs as a process or a container of
 * its own; knows nothing of HTTP or frames on the way through.
 *
 * Settings: LISTEN (port), LISTEN_HOST (default: all), UPSTREAM (host:port), CONTROL (port). Steered over HTTP: POST /
 * with a FaultState as JSON. Imports nothing: containers get this file alone.
 */
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';

/** pass: with the latency; blackhole: accept and never answer; reset: refuse at once. Open connections are treated alike. */
export interface FaultState {
  readonly mode: 'pass' | 'blackhole' | 'reset';
  /** Added in each direction. */
  readonly latencyMs: number;
}

let state: FaultState = { mode: 'pass', latencyMs: 0 };
const open = new Set<Socket>();
const [host = '127.0.0.1', port] = (process.env.UPSTREAM ?? '').split(':');

/** Delays chunks and keeps their order, as a slow line would. */
function forward(from: Socket, to: Socket): void {
  let dueMs = 0;
  from.on('data', (chunk) => {
    dueMs = Math.max(dueMs, Date.now() + state.latencyMs);
    setTimeout(
      () => {
        if (state.mode === 'pass' && !to.destroyed) to.write(chunk);
      },
      Math.max(0, dueMs - Date.now()),
    );
  });
  from.on('end', () => setTimeout(() => to.end(), Math.max(0, dueMs - Date.now())));
}

const data = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  open.add(client);
  client.on('close', () => open.delete(client)).on('error', () => {});
  if (state.mode === 'reset') return client.resetAndDestroy();
  if (state.mode === 'blackhole') return client.resume();
  const upstream = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  upstream.on('error', () => client.resetAndDestroy()).on('close', () => client.destroy());
  client.on('close', () => upstream.destroy());
  forward(client, upstream);
  forward(upstream, client);
});

const control = createHttpServer(async (request, response) => {
  const body = Buffer.concat(await Array.fromAsync(request)).toString();
  if (request.method === 'POST') {
    state = { ...state, ...JSON.parse(body) };
    if (state.mode === 'reset') for (const socket of open) socket.resetAndDestroy();
  }
  response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...state, open: open.size }));
});

data.listen(Number(process.env.LISTEN), process.env.LISTEN_HOST);
control.listen(Number(process.env.CONTROL));
process.on('SIGTERM', () => process.exit(0));
