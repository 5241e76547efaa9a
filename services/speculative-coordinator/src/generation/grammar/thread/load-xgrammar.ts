/**
 * Loads XGrammar (WebAssembly, Apache-2.0). Its package calls the file a module, which it is not: it is CommonJS, so it
 * is evaluated as that.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction, constants } from 'node:vm';
import type * as XGrammar from '@mlc-ai/web-xgrammar';

export type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';

export function loadXGrammar(): typeof XGrammar {
  const require = createRequire(import.meta.url);
  const filename = require.resolve('@mlc-ai/web-xgrammar');
  const evaluate = compileFunction(readFileSync(filename, 'utf8'), ['exports', 'require', 'module', '__filename'], {
    filename,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} };
  evaluate(module.exports, createRequire(filename), module, filename);
  return module.exports as typeof XGrammar;
}
