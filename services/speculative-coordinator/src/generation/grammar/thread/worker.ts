/**
 * A grammar thread: answers calls one after the other. Errors are told as sentences. After one of XGrammar's its memory
 * is not to be trusted, and the thread ends.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { GrammarHost } from './grammar-host.ts';
import { RefusedCallError } from './matcher-state.ts';
import type { GrammarReply, GrammarRequest, GrammarThreadData } from './messages.ts';

const port = parentPort!;
let complaint = '';
// XGrammar says why it gives up on a stream of its own, and then throws an exception that says nothing.
console.error = (...words: unknown[]) => {
  complaint ||= words.join(' ');
};
console.log = () => {};

const host = await GrammarHost.open(workerData as GrammarThreadData);
const send = (reply: GrammarReply, transfer: readonly ArrayBuffer[] = []) => port.postMessage(reply, [...transfer]);

port.on('message', async ({ id, call }: GrammarRequest) => {
  complaint = '';
  try {
    const value = await host.answer(call);
    const words = (value as { allowedTokens?: Int32Array } | undefined)?.allowedTokens;
    send({ id, value }, words ? [words.buffer as ArrayBuffer] : []);
  } catch (error) {
    const isLast = !(error instanceof RefusedCallError);
    send({ id, error: complaint === '' ? String((error as Error).message ?? error) : withoutPlace(complaint), isLast });
    if (isLast) port.close();
  }
});
/** XGrammar begins with the place in its own source. */
function withoutPlace(text: string): string {
  return text.replace(/^\[FATAL\] \S+ /, '');
}
send({ id: -1, value: 'ready' });
