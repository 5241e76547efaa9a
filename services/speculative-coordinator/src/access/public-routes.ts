/** What needs no key: health, the pages and their files. Everything else does, once there are keys. */
const PAGES = ['/healthz', '/readyz', '/health', '/version', '/', '/favicon.ico', '/openapi.json', '/docs'];
const FOLDERS = ['/docs/', '/playground/'];

/** `routeUrl` is a route's pattern; undefined where no route was found. */
export function isPublic(routeUrl: string | undefined, method: string): boolean {
  if (method === 'OPTIONS' || routeUrl === undefined) return true;
  return PAGES.includes(routeUrl) || FOLDERS.some((folder) => routeUrl.startsWith(folder));
}
