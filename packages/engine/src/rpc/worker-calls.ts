/** The worker's side: answers calls until it is told to close, then lets the running ones end and goes. */
import { parentPort } from 'node:worker_threads';
import type { EngineLog } from '../log.ts';
import { type FromWorker, type ToWorker, toPlainError } from './messages.ts';
import { type Service, ServiceCalls, Transfer } from './service.ts';

/** To be called once, by the worker's main module. A failed `start` is told to the host and ends the worker. */
export async function answerCalls(start: (log: EngineLog) => Promise<Service>): Promise<void> {
  if (!parentPort) throw new Error('this module runs in a worker thread only');
  const port = parentPort;
  const send = (message: FromWorker, buffers: readonly ArrayBuffer[] = []) => port.postMessage(message, [...buffers]);

  let service: Service;
  try {
    service = await start((...line) => send({ type: 'log', line }));
  } catch (error) {
    send({ type: 'failed', error: toPlainError(error) });
    return;
  }
  const calls = new ServiceCalls(service);
  const running = new Map<number, AbortController>();

  const answer = async (id: number, name: string, payload: unknown) => {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      const result = await calls.run(name, payload, abort.signal);
      if (result instanceof Transfer) send({ type: 'result', id, value: result.value }, result.buffers);
      else send({ type: 'result', id, value: result });
    } catch (error) {
      send({ type: 'error', id, error: toPlainError(error) });
    } finally {
      running.delete(id);
    }
  };

  port.on('message', (message: ToWorker) => {
    if (message.type === 'call') void answer(message.id, message.method, message.payload);
    else if (message.type === 'cancel') running.get(message.id)?.abort();
    else void calls.close().then(() => port.close());
  });
  send({ type: 'ready', info: service.info });
}
