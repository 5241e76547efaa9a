import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { flagSetting, integerSetting, isServiceUrl, readConfig } from '../src/index.ts';

const schema = z.object({
  LIMIT: integerSetting({ default: 7, min: 0, max: 9, reason: 'r' }),
  LOUD: flagSetting({ default: true, reason: 'r' }),
  ENDPOINT: z.string().max(20, 'too long').default('http://127.0.0.1:1').meta({ takesBlank: true }),
  API_TOKEN: integerSetting({ default: 0, min: 0, max: 9, reason: 'r' }),
});

describe('the settings', () => {
  it.each(['', ' ', '\t'])('have their defaults where the environment says %j', (blank) => {
    const defaults = { LIMIT: 7, LOUD: true, ENDPOINT: 'http://127.0.0.1:1', API_TOKEN: 0 };
    expect(readConfig(schema, { LIMIT: blank, LOUD: blank })).toEqual(defaults);
  });

  it('have the blank itself where it means something', () => {
    expect(readConfig(schema, { ENDPOINT: '' }).ENDPOINT).toBe('');
    expect(readConfig(schema, {}).ENDPOINT).toBe('http://127.0.0.1:1');
  });

  it('refuse what is wrong, all of it at once, with its name and value, and hide secrets', () => {
    const wrong = { LIMIT: '10', LOUD: 'yes', ENDPOINT: 'x'.repeat(21), API_TOKEN: 'abc' };
    expect(() => readConfig(schema, wrong)).toThrow(
      /LIMIT=10: must be a whole number from 0 to 9\n {2}LOUD=yes: .*\n {2}ENDPOINT=x+: too long\n {2}API_TOKEN=\(hidden\): /,
    );
  });

  it.each([
    ['http://host', true],
    ['https://host:8001/', true],
    ['http://[::1]:8001', true],
    ['http://host/target', false],
    ['http://host?a=b', false],
    ['http://name:word@host', false],
    ['host:8001', false],
    ['', false],
  ])('%j is the address of a service: %s', (text, expected) => {
    expect(isServiceUrl(text)).toBe(expected);
  });
});
