import { version } from '../config/version.ts';
import { connect } from './client.ts';
import { type Command, type Context, UsageError } from './command.ts';
import { discover } from './discover.ts';
import { commandHelp, overview } from './help.ts';
import { type Parsed, parseCommand } from './parse.ts';
import { EXIT, reportError } from './report.ts';
import { processTerminal, type Terminal } from './terminal.ts';

type Surroundings = Pick<Context, 'env' | 'directory' | 'signal'>;

const asksForHelp = (words: readonly string[]): boolean => words.length === 0 || ['--help', '-h', 'help'].includes(words[0] as string);

/** `--data` is the data directory, except in a command that has another option of this name. */
const dataOption = ({ command, options }: Parsed): string | undefined => (Object.hasOwn(command.options, 'data') ? undefined : options.text('data'));

async function run(parsed: Parsed, surroundings: Surroundings, terminal: Terminal): Promise<void> {
  const { parameters, options, command } = parsed;
  const { signal } = surroundings;
  const access = () => connect(discover({ options, ...surroundings }, dataOption(parsed)), options.text('tenant'), signal);
  await command.run({ parameters, options, terminal, ...surroundings, connect: access });
}

/** Variables that are set to nothing are not set: compose files and shells make such ones. */
const withoutEmpty = (env: Context['env']): Context['env'] => Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));

/** Runs the command that the words after `nacelle` name. Errors are told on standard error. @returns the exit code */
export async function runCommandLine(
  commands: readonly Command[],
  words: readonly string[],
  surroundings: Surroundings,
  terminal: Terminal = processTerminal(words.includes('--json')),
): Promise<number> {
  if (words[0] === '--version') {
    terminal.out(`${version}\n`);
    return EXIT.done;
  }
  if (words[0] === 'help' && words.length > 1) return runCommandLine(commands, [...words.slice(1), '--help'], surroundings, terminal);
  if (asksForHelp(words)) {
    terminal.out(`${overview(commands)}\n`);
    return words.length === 0 ? EXIT.usage : EXIT.done;
  }
  try {
    const parsed = parseCommand(commands, words);
    if (parsed.options.flag('help')) terminal.out(`${commandHelp(parsed.command)}\n`);
    else await run(parsed, { ...surroundings, env: withoutEmpty(surroundings.env) }, terminal);
    return EXIT.done;
  } catch (error) {
    if (surroundings.signal.aborted && !(error instanceof UsageError)) return EXIT.failed;
    return reportError(terminal, error);
  }
}
