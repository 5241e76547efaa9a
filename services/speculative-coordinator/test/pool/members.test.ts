/** Who is behind the endpoints: lists, names with several addresses, and resolvers that fail or hang. */
import { describe, expect, it } from 'vitest';
import { Endpoints, type Resolve } from '../../src/pair/pool/members.ts';

/** A resolver whose answers a test changes; null: it hangs. */
function resolver(names: Record<string, readonly string[] | Error | null>): Resolve {
  return async (host) => {
    const found = names[host];
    if (found === null) return new Promise(() => {});
    if (found === undefined || found instanceof Error) throw found ?? new Error(`ENOTFOUND ${host}`);
    return found;
  };
}
const namesOf = async (endpoints: Endpoints) => (await endpoints.look()).map(({ name }) => name);

describe('endpoints', () => {
  it('are as many members as their names have addresses, whatever the order, each address once', async () => {
    const names = { many: ['10.0.0.2', '10.0.0.1', '10.0.0.2'], one: ['10.0.0.9'] };
    const members = await new Endpoints(
      ['http://many:8002', 'http://one', 'http://10.0.0.7:1'],
      resolver(names),
    ).look();
    expect(members).toEqual([
      { name: 'http://many:8002 [10.0.0.1]', url: 'http://many:8002', address: '10.0.0.1' },
      { name: 'http://many:8002 [10.0.0.2]', url: 'http://many:8002', address: '10.0.0.2' },
      { name: 'http://one', url: 'http://one' },
      { name: 'http://10.0.0.7:1', url: 'http://10.0.0.7:1' },
    ]);
  });

  it('are one member for a host with addresses of both families', async () => {
    const names = { both: ['::1', '127.0.0.1'], six: ['fd00::2', 'fd00::1'] };
    expect(await namesOf(new Endpoints(['http://both', 'http://six'], resolver(names)))).toEqual([
      'http://both',
      'http://six [fd00::1]',
      'http://six [fd00::2]',
    ]);
    expect(await namesOf(new Endpoints(['http://[::1]:8002'], resolver({})))).toEqual(['http://[::1]:8002']);
  });

  it('come and go with the answers of the resolver', async () => {
    const names: Record<string, string[]> = { pool: ['10.0.0.1', '10.0.0.2'] };
    const endpoints = new Endpoints(['http://pool'], resolver(names));
    expect(await namesOf(endpoints)).toHaveLength(2);
    names.pool = ['10.0.0.2', '10.0.0.3', '10.0.0.4'];
    expect(await namesOf(endpoints)).toEqual(['2', '3', '4'].map((last) => `http://pool [10.0.0.${last}]`));
  });

  it.each<[string, readonly string[] | Error | null]>([
    ['fails', new Error('EAI_AGAIN')],
    ['knows no address any more', []],
    ['hangs', null],
  ])('keep who they had while the resolver %s, and the others are looked up all the same', async (_what, trouble) => {
    const names: Record<string, readonly string[] | Error | null> = { a: ['10.0.0.1', '10.0.0.2'], b: ['10.0.1.1'] };
    const endpoints = new Endpoints(['http://a', 'http://b'], resolver(names));
    await endpoints.look();
    expect(endpoints.problem).toBeNull();
    Object.assign(names, { a: trouble, b: ['10.0.1.1', '10.0.1.2'] });
    expect(await namesOf(endpoints)).toEqual([
      'http://a [10.0.0.1]',
      'http://a [10.0.0.2]',
      'http://b [10.0.1.1]',
      'http://b [10.0.1.2]',
    ]);
    if (trouble !== null) expect(endpoints.problem).toMatch(/^http:\/\/a: /);
  });

  it('have nobody, and say why, while a name was never resolved', async () => {
    const endpoints = new Endpoints(['http://nowhere:8002'], resolver({}));
    expect(await endpoints.look()).toEqual([]);
    expect(endpoints.problem).toBe('http://nowhere:8002: ENOTFOUND nowhere');
  });
});
