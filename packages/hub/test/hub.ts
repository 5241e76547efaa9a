/** A hub of the tests' own, with every misbehaviour on demand, and a second host that large files are redirected to. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Misbehaviour {
  /** Closes the connection after so many bytes, this many times. */
  cutAfter?: number;
  cuts?: number;
  /** Answers 429 (with retry-after) or 503, this many times. */
  refusals?: { status: number; count: number; retryAfter?: string };
  /** Bytes added to every body, beyond what was promised. */
  surplus?: number;
  /** Other bytes than the listing's checksum speaks of, this many times. */
  corrupt?: number;
  ignoresRanges?: boolean;
}

export interface SeenRequest {
  readonly host: 'hub' | 'store';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

const COMMIT = 'a'.repeat(40);

export class TestHub {
  readonly seen: SeenRequest[] = [];
  readonly misbehaviour: Misbehaviour = {};
  /** Names a token that is demanded. */
  token: string | undefined;
  readonly #files: Readonly<Record<string, Buffer>>;
  readonly #hub: Server;
  readonly #store: Server;

  /** Files of org/model; names that begin with 'model' are large ones, in the store. */
  static async start(files: Readonly<Record<string, Buffer>>): Promise<TestHub> {
    const hub = new TestHub(files);
    for (const server of [hub.#hub, hub.#store]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return hub;
  }

  private constructor(files: Readonly<Record<string, Buffer>>) {
    this.#files = files;
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#store = createServer((request, response) => this.#answer('store', request, response));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(host: 'hub' | 'store', request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url!, this.endpoint).pathname);
    const { range, authorization } = request.headers;
    this.seen.push({ host, path, range, authorization });
    const { refusals } = this.misbehaviour;
    if (refusals && refusals.count-- > 0) {
      response.writeHead(refusals.status, refusals.retryAfter ? { 'retry-after': refusals.retryAfter } : {}).end();
      return;
    }
    if (host === 'hub' && this.token && authorization !== `Bearer ${this.token}`) {
      response.writeHead(401).end();
      return;
    }
    if (path === '/api/models/org/model/revision/main') {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(this.#listing()));
      return;
    }
    const name = path.replace(`/org/model/resolve/${COMMIT}/`, '');
    const content = Object.hasOwn(this.#files, name) ? this.#files[name] : undefined;
    if (!content) response.writeHead(404).end();
    else if (host === 'hub' && name.startsWith('model')) {
      const { port } = this.#store.address() as AddressInfo;
      response.writeHead(302, { location: `http://localhost:${port}${request.url}` }).end(); // another host
    } else this.#send(content, range, response);
  }

  #send(content: Buffer, range: string | undefined, response: ServerResponse): void {
    const how = this.misbehaviour;
    const start = range && !how.ignoresRanges ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
    let body = content.subarray(start);
    if (how.corrupt) {
      how.corrupt--;
      body = Buffer.from(body.map((byte) => byte ^ 1));
    }
    if (how.surplus) body = Buffer.concat([body, Buffer.alloc(how.surplus)]);
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': body.length });
    if (how.cuts && how.cutAfter !== undefined && body.length > how.cutAfter) {
      how.cuts--;
      response.write(body.subarray(0, how.cutAfter), () => setTimeout(() => response.destroy(), 20));
    } else response.end(body);
  }

  #listing() {
    const siblings = Object.entries(this.#files).map(([rfilename, content]) =>
      rfilename.startsWith('model')
        ? { rfilename, lfs: { sha256: createHash('sha256').update(content).digest('hex'), size: content.length } }
        : {
            rfilename,
            size: content.length,
            blobId: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
          },
    );
    return { sha: COMMIT, siblings };
  }
}
