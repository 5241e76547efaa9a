/**
 * Who belongs to a pool: the addresses behind the host names of its endpoints. A name with several addresses (a headless
 * service of Kubernetes, a name of several A records) is that many replicas; one with a single address is one replica,
 * whatever that address is when it is connected to. Connects to nobody.
 */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Member {
  /** Tells it from all others, and is the same at every coordinator that resolves alike. */
  readonly name: string;
  /** Where it answers: its host name is what TLS certificates and Host headers are about. */
  readonly url: string;
  /** The address to connect to; absent: the URL says it. */
  readonly address?: string;
}

/** Tells a pool, each time that it looks, who belongs to it. */
export interface MemberSource {
  /** Never fails: while somebody cannot be found, it is as it was. */
  look(): Promise<readonly Member[]>;
  /** Why somebody cannot be found; null: all are. */
  readonly problem: string | null;
}

/** All addresses of a host name. Errors: those of the resolver. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/** As the system resolves: hosts file, search domains, and all that. */
const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/** A resolver that takes longer is not waited for: what it says counts the next time. */
const PATIENCE_MS = 1000;

/** One member, for ever. */
export function fixedMember(name: string): MemberSource {
  return { look: async () => [{ name, url: name }], problem: null };
}

/** The members behind endpoints: URLs, whose host is an address or a name that has some. */
export class Endpoints implements MemberSource {
  readonly #urls: readonly string[];
  readonly #resolve: Resolve;
  /** Of each endpoint, as it was last resolved. */
  readonly #members = new Map<string, readonly Member[]>();
  readonly #problems = new Map<string, string>();
  #resolving: Promise<void> | null = null;

  constructor(urls: readonly string[], resolve: Resolve = systemResolve) {
    this.#urls = [...new Set(urls)];
    this.#resolve = resolve;
  }

  get problem(): string | null {
    return this.#problems.values().next().value ?? null;
  }

  async look(): Promise<readonly Member[]> {
    this.#resolving ??= this.#resolveAll().finally(() => {
      this.#resolving = null;
    });
    await Promise.race([this.#resolving, sleep(PATIENCE_MS, undefined, { ref: false })]);
    return this.#urls.flatMap((url) => this.#members.get(url) ?? []);
  }

  async #resolveAll(): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url) => {
        try {
          this.#members.set(url, await membersOf(url, this.#resolve));
          this.#problems.delete(url);
        } catch (error) {
          this.#problems.set(url, `${url}: ${(error as Error).message}`);
        }
      }),
    );
  }
}

/** Errors: those of `resolve`; when there is no address. */
async function membersOf(url: string, resolve: Resolve): Promise<Member[]> {
  const { hostname } = new URL(url);
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return [{ name: url, url }];
  const addresses = inOneFamily(await resolve(hostname));
  if (addresses.length === 0) throw new Error(`${hostname} has no address`);
  if (addresses.length === 1) return [{ name: url, url }];
  return addresses.map((address) => ({ name: `${url} [${address}]`, url, address }));
}

/** A host with addresses in both families is one host: IPv4 ones, or IPv6 ones where there are no others. Sorted. */
function inOneFamily(addresses: readonly string[]): string[] {
  const distinct = [...new Set(addresses)].sort();
  const ipv4 = distinct.filter(isIPv4);
  return ipv4.length > 0 ? ipv4 : distinct;
}
