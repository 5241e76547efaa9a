/**
 * Settings from the environment. Each is declared once, in a zod schema whose field carries its reason, unit and
 * default; the configuration reference in the docs is generated from the same schemas. A wrong value refuses the start
 * with one readable message that lists every problem.
 */
import { z } from 'zod';
import { ConfigError } from './config-error.ts';

export { ConfigError };

interface Described {
  /** Why one would change it. */
  readonly reason: string;
  readonly unit?: string;
}

const annotate = <T extends z.ZodType>(schema: T, { reason, unit }: Described): T =>
  schema.meta({ description: reason, ...(unit !== undefined && { unit }) }) as T;

type Bounded = Described & { min: number; max: number };

function boundedNumber({ min, max, unit }: Bounded, kind: string) {
  const error = `must be ${kind} from ${min} to ${max}${unit ? ` ${unit}` : ''}`;
  return z.coerce.number({ error }).min(min, { error }).max(max, { error });
}

function wholeNumber(options: Bounded) {
  const error = `must be a whole number from ${options.min} to ${options.max}${options.unit ? ` ${options.unit}` : ''}`;
  return boundedNumber(options, 'a whole number').int({ error });
}

export function integerSetting(options: Bounded & { default: number }) {
  return annotate(wholeNumber(options).default(options.default), options);
}

export function optionalIntegerSetting(options: Bounded) {
  return annotate(wholeNumber(options).optional(), options);
}

export function optionalNumberSetting(options: Bounded) {
  return annotate(boundedNumber(options, 'a number').optional(), options);
}

export function stringSetting(options: Described & { default: string }) {
  return annotate(z.string().default(options.default), options);
}

export function optionalSetting(options: Described) {
  return annotate(z.string().min(1).optional(), options);
}

export function choiceSetting<const T extends readonly string[]>(
  choices: T,
  options: Described & { default: T[number] },
) {
  const schema = z.enum(choices, { error: `must be one of ${choices.join(', ')}` });
  return annotate(schema.default(options.default as never), options);
}

export function flagSetting(options: Described & { default: boolean }) {
  const words = ['true', 'false', '1', '0'] as const;
  const schema = z.enum(words, { error: 'must be true or false' }).transform((word) => word === 'true' || word === '1');
  return annotate(schema.default(options.default), options);
}

/** Where a service answers: http(s)://host[:port], no path, since every service has its routes at the root. */
export function isServiceUrl(text: string): boolean {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return false;
  const { pathname, search, hash, username, password } = new URL(text);
  return pathname === '/' && `${search}${hash}${username}${password}` === '';
}

/** Settings that every service has. */
export const commonSettings = {
  HOST: stringSetting({ default: '127.0.0.1', reason: 'Address to listen on; 0.0.0.0 inside a container.' }),
  LOG_LEVEL: choiceSetting(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    reason: 'info logs one line per request; debug, in the model services, one per call.',
  }),
  SHUTDOWN_TIMEOUT_S: integerSetting({
    default: 30,
    min: 0,
    max: 3600,
    unit: 'seconds',
    reason: 'How long SIGTERM waits for requests under way before it ends them.',
  }),
  SERVICE_TOKEN: optionalSetting({
    reason: 'Bearer token that the model services demand and the coordinator sends. Unset: none.',
  }),
};

/**
 * Parses the environment. Blank values count as absent, but for settings that mean something by them. Errors:
 * ConfigError, naming every bad setting and its value.
 */
export function readConfig<T extends z.ZodObject>(schema: T, env: NodeJS.ProcessEnv): z.output<T> {
  const present = Object.fromEntries(
    Object.entries(env).filter(([name, value]) => {
      const setting = schema.shape[name] as z.ZodType | undefined;
      return setting && (value?.trim() !== '' || setting.meta()?.takesBlank === true);
    }),
  );
  const result = schema.safeParse(present);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    const name = issue.path.join('.');
    const value = present[name];
    return name === '' ? `  ${issue.message}` : `  ${name}=${hide(name, value)}: ${issue.message}`;
  });
  throw new ConfigError(`wrong settings:\n${lines.join('\n')}`);
}

const hide = (name: string, value: string | undefined): string =>
  /(TOKEN|KEY|SECRET|PASSWORD)$/.test(name) ? '(hidden)' : (value ?? '(unset)');
