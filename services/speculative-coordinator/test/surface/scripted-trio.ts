/** A coordinator in this process over scripted services, listening on a free port. */
import { createLogger, createRegistry, readConfig, type ServiceApp } from '@forerunner/service-kit';
import { makeChatModel, TINY_EOS_TOKEN_ID, TINY_VOCAB_SIZE } from '@forerunner/testkit';
import { Tokenizer, tokenizerFingerprint } from '@forerunner/tokenizer';
import { buildCoordinator } from '../../src/app.ts';
import { coordinatorSettings } from '../../src/config.ts';
import { type ScriptedService, startScripted } from './scripted-services.ts';

export interface ScriptedTrio {
  readonly app: ServiceApp;
  readonly url: string;
  readonly target: ScriptedService;
  /** More targets beside `target`, as many as were asked for. */
  readonly otherTargets: readonly ScriptedService[];
  readonly draft: ScriptedService;
  readonly tokenizer: Tokenizer;
  readonly directory: string;
  readonly metrics: () => Promise<string>;
  /** Looks at the peers' cards now: the clock of these tests never does. */
  readonly checkPeers: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface ScriptedTrioOptions {
  /** What every answer says. */
  readonly text: string;
  /** Places of the script (in tokens) where the draft guesses wrong; default: every fourth. */
  readonly isWrong?: (place: number) => boolean;
  /** Model digests of further targets. */
  readonly otherTargets?: readonly string[];
  readonly env?: Record<string, string>;
  /** Called with a fresh folder before the coordinator reads its settings. */
  readonly prepare?: (directory: string) => Record<string, string>;
}

export async function startScriptedTrio(options: ScriptedTrioOptions): Promise<ScriptedTrio> {
  const model = makeChatModel();
  const { directory } = model;
  const tokenizer = Tokenizer.load(directory);
  const script = {
    tokenIds: [...tokenizer.encodeFragment(options.text)],
    eosTokenId: TINY_EOS_TOKEN_ID,
    vocabSize: TINY_VOCAB_SIZE,
    fingerprint: tokenizerFingerprint(directory),
  };
  const target = await startScripted('target', script);
  const otherTargets = await Promise.all(
    (options.otherTargets ?? []).map(async (modelDigest) =>
      Object.assign(await startScripted('target', script), { modelDigest }),
    ),
  );
  const draft = await startScripted('draft', script, options.isWrong ?? ((place) => place % 4 === 3));
  const config = readConfig(coordinatorSettings, {
    TARGET_ENDPOINT: [target, ...otherTargets].map(({ url }) => url).join(','),
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
    otherTargets,
    draft,
    tokenizer,
    directory,
    checkPeers: () => coordinator.monitor.check(),
    metrics: () => registry.metrics(),
    stop: async () => {
      await coordinator.app.close();
      await coordinator.close();
      await Promise.all([target, ...otherTargets, draft].map(({ app }) => app.close()));
      model.remove();
    },
  };
}
