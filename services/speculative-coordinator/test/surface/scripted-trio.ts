/** A coordinator in this process over scripted services, listening on a free port. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLogger, createRegistry, readConfig, type ServiceApp } from '@forerunner/service-kit';
import { Tokenizer, tokenizerFingerprint } from '@forerunner/tokenizer';
import { buildCoordinator } from '../../src/app.ts';
import { coordinatorSettings } from '../../src/config.ts';
import { type ScriptedService, startScripted } from './scripted-services.ts';

const TINY = fileURLToPath(new URL('../../../../models/tiny-target', import.meta.url));
const CHAT_TEMPLATE = `{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{{ '<|im_start|>assistant\\n' }}`;

export interface ScriptedTrio {
  readonly app: ServiceApp;
  readonly url: string;
  readonly target: ScriptedService;
  readonly draft: ScriptedService;
  readonly tokenizer: Tokenizer;
  readonly directory: string;
  readonly metrics: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

export interface ScriptedTrioOptions {
  /** What every answer says. */
  readonly text: string;
  /** Places of the script (in tokens) where the draft guesses wrong; default: every fourth. */
  readonly isWrong?: (place: number) => boolean;
  readonly env?: Record<string, string>;
  /** Called with a fresh folder before the coordinator reads its settings. */
  readonly prepare?: (directory: string) => Record<string, string>;
}

export async function startScriptedTrio(options: ScriptedTrioOptions): Promise<ScriptedTrio> {
  const directory = mkdtempSync(join(tmpdir(), 'forerunner-test-'));
  // The tiny pair has no chat template of its own; this is ChatML, which its tokenizer has the tokens for.
  cpSync(TINY, directory, { recursive: true, filter: (path) => !path.includes('.onnx') });
  writeFileSync(join(directory, 'chat_template.jinja'), CHAT_TEMPLATE);
  const tokenizer = Tokenizer.load(directory);
  const script = {
    tokenIds: [...tokenizer.encodeFragment(options.text)],
    eosTokenId: 2,
    vocabSize: 1024,
    fingerprint: tokenizerFingerprint(directory),
  };
  const target = await startScripted('target', script);
  const draft = await startScripted('draft', script, options.isWrong ?? ((place) => place % 4 === 3));
  const config = readConfig(coordinatorSettings, {
    TARGET_ENDPOINT: target.url,
    DRAFT_ENDPOINT: draft.url,
    PEER_CHECK_INTERVAL_MS: '60000',
    ...options.env,
    ...options.prepare?.(directory),
  });
  const registry = createRegistry('speculative-coordinator');
  const coordinator = await buildCoordinator(config, directory, createLogger('test', 'silent'), registry);
  await coordinator.monitor.start();
  const url = await coordinator.app.listen({ host: '127.0.0.1', port: 0 });
  return {
    app: coordinator.app,
    url,
    target,
    draft,
    tokenizer,
    directory,
    metrics: () => registry.metrics(),
    stop: async () => {
      await coordinator.app.close();
      await coordinator.close();
      await Promise.all([target.app.close(), draft.app.close()]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
