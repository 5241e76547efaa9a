/** What a hub says of a repository: its commit, and each file with size and checksum. */
import { HubError } from './errors.ts';
import { request } from './request.ts';
import type { HubSettings } from './settings.ts';

export interface HubFile {
  /** Path within the repository. */
  readonly name: string;
  readonly size: number;
  /** What the hub promises of the content. */
  readonly checksum: { readonly kind: 'sha256' | 'git-blob'; readonly value: string };
}

export interface HubRepository {
  /** 'org/name'. */
  readonly id: string;
  readonly revision: string;
  readonly commit: string;
  readonly files: readonly HubFile[];
}

interface Listing {
  readonly sha: string;
  readonly siblings: readonly {
    readonly rfilename: string;
    readonly size?: number;
    readonly blobId?: string;
    readonly lfs?: { readonly sha256: string; readonly size: number };
  }[];
}

/** Errors: HubError not_found | not_allowed | unreachable. */
export async function readRepository(id: string, revision: string, settings: HubSettings): Promise<HubRepository> {
  const url = `${settings.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const response = await request(url, settings, { what: `${id} at ${revision}` });
  const { sha, siblings } = (await response.json()) as Listing;
  if (!/^[0-9a-f]{7,64}$/.test(sha))
    throw new HubError('unreachable', `${settings.endpoint} does not answer like a hub`);
  const files = siblings.map(({ rfilename, size, blobId, lfs }): HubFile => {
    if (rfilename.split('/').some((part) => part === '' || part === '.' || part === '..') || rfilename.includes('\\')) {
      throw new HubError('damaged', `${id} names a file outside of it: ${rfilename}`);
    }
    return {
      name: rfilename,
      size: lfs?.size ?? size ?? 0,
      checksum: lfs ? { kind: 'sha256', value: lfs.sha256 } : { kind: 'git-blob', value: blobId ?? '' },
    };
  });
  return { id, revision, commit: sha, files };
}
