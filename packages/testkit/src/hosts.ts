/**
 * Preloaded into a process (`node --import`): host names that HOSTS_FILE knows resolve to what it says now, a JSON object
 * of names and their addresses. Others resolve as ever. So tests have names with many addresses without a name server.
 */

import dns from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const resolve = dns.lookup;

dns.lookup = (async (host: string, options: { all: true }) => {
  const hosts = JSON.parse(readFileSync(process.env.HOSTS_FILE!, 'utf8')) as Record<string, string[]>;
  const addresses = hosts[host];
  return addresses ? addresses.map((address) => ({ address, family: 4 })) : resolve(host, options);
}) as typeof dns.lookup;
syncBuiltinESMExports();
