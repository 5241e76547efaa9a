/** What the engine says beside its results; whoever hosts it writes it down. Objects, then words; never prompts. */
export type EngineLog = (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void;
