// Finds and starts the Node 26 that runs guests. Plain JavaScript for Node 20, since this is what an older Node executes.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';

const RUNTIME_MAJOR = 26;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Path of a Node 26 binary: that of the platform package, so that the lock file names it, or else this process's own; undefined if there is neither. */
export function findRuntime() {
  const require = createRequire(import.meta.url);
  for (const name of [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]) {
    try {
      const binary = join(dirname(require.resolve(`${name}/package.json`)), 'bin', 'node');
      if (existsSync(binary)) return binary;
    } catch {}
  }
  return Number(process.versions.node.split('.')[0]) >= RUNTIME_MAJOR ? process.execPath : undefined;
}

/** Starts `file` with `args` on Node 26, hands signals on, and ends as it ends. The child ends too if this process is killed. */
export function runOnNode26(file, args) {
  const runtime = findRuntime();
  if (!runtime) {
    console.error(
      `nacelle needs Node ${RUNTIME_MAJOR}, and there is none for ${process.platform}-${process.arch}: run "npm ci" again without --omit=optional, or start it with Node ${RUNTIME_MAJOR}`,
    );
    process.exit(1);
  }
  const endWithParent = new URL('./end-with-parent.js', import.meta.url).href;
  const flags = ['--disable-warning=ExperimentalWarning', `--import=${endWithParent}`];
  const child = spawn(runtime, [...flags, file, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`cannot start ${runtime}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
}
