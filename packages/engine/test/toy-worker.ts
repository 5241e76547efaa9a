/** The toy service on a thread of its own. */
import { workerData } from 'node:worker_threads';
import { answerCalls } from '../src/rpc/worker-calls.ts';
import { openToyService } from './toy-service.ts';

await answerCalls((log) => openToyService(workerData, log));
