import { commands } from './commands.ts';
import { runCommandLine } from './run.ts';

const EXIT_WITHIN_MS = 2000;

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stop.abort());
// A reader that goes away, as `head` does, ends the command quietly.
process.stdout.on('error', () => process.exit(0));

process.exitCode = await runCommandLine(commands, process.argv.slice(2), { env: process.env, directory: process.cwd(), signal: stop.signal });
// What is still open, an idle connection for example, must not keep a command that is done.
setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
