/**
 * Loads XGrammar (WebAssembly, Apache-2.0). Its package calls its files modules, which they are not: they are CommonJS,
 * and are loaded as that.
 */
import { createRequire, registerHooks } from 'node:module';
import type * as XGrammar from '@mlc-ai/web-xgrammar';

export type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';

export function loadXGrammar(): typeof XGrammar {
  const hooks = registerHooks({
    load: (url, context, nextLoad) =>
      nextLoad(url, url.includes('/@mlc-ai/web-xgrammar/') ? { ...context, format: 'commonjs' } : context),
  });
  try {
    return createRequire(import.meta.url)('@mlc-ai/web-xgrammar') as typeof XGrammar;
  } finally {
    hooks.deregister();
  }
}
