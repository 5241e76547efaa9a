/** What both services have in common beside the model: an engine opened with the host's settings, and its housekeeping. */
import {
  Engine,
  type EngineLog,
  type EngineOptions,
  type EngineStats,
  type Methods,
  type OpenRunnerOptions,
  type Service,
} from '@forerunner/engine';

/** Cloned where the engine has a thread of its own. */
export type EngineSettings = EngineOptions & Omit<OpenRunnerOptions, 'log' | 'onFallback'>;

/** What a service's engine module exports as `openEngine`. */
export type OpenEngine = (settings: EngineSettings, log: EngineLog) => Promise<Service>;

/** What the host's thread needs to know of the model. */
export interface ModelFacts {
  readonly vocabSize: number;
  readonly headSize: number;
  /** Most tokens of a sequence. */
  readonly contextLength: number;
  /** Most sequences of one pass. */
  readonly maxBatchItems: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly hiddenStates: { readonly output: string; readonly width: number } | null;
  /** Values per token that a feature draft wants; 0 for any other model. */
  readonly hiddenStatesWidth: number;
  readonly description: Engine['description'];
  readonly numericRegime: Engine['numericRegime'];
  readonly fallbacks: Engine['fallbacks'];
  /** As measured at start. */
  readonly passCosts: Engine['passCosts'];
}

export type EngineMethods = {
  free: (sequenceId: string) => void;
  takeStats: (nothing: null) => EngineStats;
  passCosts: (nothing: null) => Engine['passCosts'];
};

/** Opens an engine and gives it the service's own methods. */
export async function engineService(
  settings: EngineSettings,
  log: EngineLog,
  methodsOf: (engine: Engine) => Methods,
): Promise<Service> {
  const engine = await Engine.open({ ...settings, log });
  const common: EngineMethods = {
    free: (sequenceId) => engine.freeSequence(sequenceId),
    takeStats: () => engine.takeStats(),
    passCosts: () => engine.passCosts,
  };
  try {
    return { methods: { ...methodsOf(engine), ...common }, info: factsOf(engine), close: () => engine.close() };
  } catch (error) {
    await engine.close();
    throw error;
  }
}

function factsOf(engine: Engine): ModelFacts {
  const { signature } = engine;
  return {
    vocabSize: signature.vocabSize,
    headSize: signature.headSize,
    contextLength: engine.contextLength,
    maxBatchItems: engine.maxBatchItems,
    bosTokenId: signature.bosTokenId ?? null,
    eosTokenIds: signature.eosTokenIds,
    hiddenStates: signature.hiddenStatesOutput ?? null,
    hiddenStatesWidth: signature.hiddenStatesInput?.width ?? 0,
    description: engine.description,
    numericRegime: engine.numericRegime,
    fallbacks: engine.fallbacks,
    passCosts: engine.passCosts,
  };
}
