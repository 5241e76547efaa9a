/** Where the model services answer: lists, the embedded draft, none; and what is none of these. */
import { readConfig } from '@forerunner/service-kit';
import { describe, expect, it } from 'vitest';
import { coordinatorSettings } from '../src/config.ts';

const draftOf = (DRAFT_ENDPOINT: string) => readConfig(coordinatorSettings, { DRAFT_ENDPOINT }).DRAFT_ENDPOINT;

describe('endpoints', () => {
  it('are lists of URLs, for drafts and targets alike', () => {
    const text = 'http://a:1, https://b:2,http://[::1]:3';
    const urls = ['http://a:1', 'https://b:2', 'http://[::1]:3'];
    expect(draftOf(text)).toEqual(urls);
    expect(readConfig(coordinatorSettings, { TARGET_ENDPOINT: text }).TARGET_ENDPOINT).toEqual(urls);
  });

  it('of drafts may be within the coordinator, or nowhere', () => {
    expect(draftOf(' embedded ')).toBe('embedded');
    expect(draftOf(' ')).toBeNull();
    expect(readConfig(coordinatorSettings, {}).DRAFT_ENDPOINT).toEqual(['http://127.0.0.1:8001']);
  });

  it.each(['embedded,http://a:1', 'http://a:1,embedded', 'http://a:1,', 'http://a:1/path', 'a:1'])(
    'of drafts are never %j',
    (text) => {
      expect(() => draftOf(text)).toThrow(
        `DRAFT_ENDPOINT=${text}: must be URLs such as http://host:8001, without a path, separated by commas; embedded alone; or nothing`,
      );
    },
  );
});
