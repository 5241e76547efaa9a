/** What needs no key: health, the pages and their files. Everything else does, once there are keys. */
const PUBLIC = ['/healthz', '/readyz', '/', '/playground/*', '/openapi.json', '/docs', '/docs/*'];

/** `routeUrl` is a route's pattern; undefined where no route was found. */
export function isPublic(routeUrl: string | undefined, method: string): boolean {
  return method === 'OPTIONS' || routeUrl === undefined || PUBLIC.includes(routeUrl) || routeUrl.startsWith('/docs/');
}
