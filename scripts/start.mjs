/** `npm start [-- --target NAME --draft NAME]`: the trio, on the embedded models unless told, ready for curl, until Ctrl-C. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureToolchain, nodeBinary, root, toolEnvironment } from './toolchain.mjs';

try {
  ensureToolchain();
} catch (error) {
  console.error(`npm start: ${error.message}`);
  process.exit(1);
}
// From here on the pinned Node runs the show; this process only waits and passes the exit code on.
const args = process.argv.slice(2).filter((argument, index) => index > 0 || argument !== 'serve'); // forerunner serve
const trio = spawn(nodeBinary(), [join(root, 'scripts', 'trio.ts'), ...args], {
  env: toolEnvironment(),
  stdio: 'inherit',
});
// Ctrl-C reaches the child through the terminal; others have to be passed on.
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => trio.kill('SIGTERM'));
// npm puts a shell in between that ends without passing a signal on: then nobody is left who could stop the trio.
const parent = process.ppid;
if (process.env.npm_lifecycle_event) setInterval(() => process.ppid !== parent && trio.kill('SIGTERM'), 500);
trio.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 0 : 1)));
