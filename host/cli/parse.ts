import { parseArgs } from 'node:util';
import { nearest } from '../base/nearest.ts';
import { type Command, type OptionSpec, UsageError } from './command.ts';
import { Options } from './options.ts';

const generalOptions: Readonly<Record<string, OptionSpec>> = {
  json: { type: 'boolean', description: 'Print JSON.' },
  help: { type: 'boolean', short: 'h', description: 'Show this.' },
};

const nodeOptions: Readonly<Record<string, OptionSpec>> = {
  url: { type: 'string', value: 'URL', description: 'The control API of the node. Default: NACELLE_URL, or what the data directory says.' },
  token: { type: 'string', value: 'TOKEN', description: 'The token to use. Default: NACELLE_TOKEN, or the admin token of the data directory.' },
  data: { type: 'string', value: 'DIR', description: 'The data directory of a node on this machine. Default: NACELLE_DATA, or ./.nacelle.' },
  tenant: { type: 'string', value: 'T', description: "The tenant to work in. Default: the token's own." },
};

/** Options that commands have beside their own. */
export const commonOptions = (command?: Command): Readonly<Record<string, OptionSpec>> => ({ ...(command?.local ? {} : nodeOptions), ...generalOptions });

export type Parsed = { command: Command; parameters: string[]; options: Options };

/** A command's own option comes before a common one of its name. */
const optionsOf = (command: Command): Record<string, OptionSpec> => ({ ...commonOptions(command), ...command.options });

/** The command that the first words name: the longest name that fits. */
function findCommand(commands: readonly Command[], words: readonly string[]): { command: Command; rest: readonly string[] } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((candidate) => candidate.name === name);
    if (command && words.length >= length) return { command, rest: words.slice(length) };
  }
  const group = commands.filter(({ name }) => name.startsWith(`${words[0]} `)).map(({ name }) => name);
  if (group.length > 0) throw new UsageError(`there is no command "${words.slice(0, 2).join(' ')}": use ${group.join(', ')}`);
  const meant = nearest(
    words[0] ?? '',
    commands.map(({ name }) => name),
  );
  throw new UsageError(`there is no command "${words[0]}"${meant ? `, did you mean "${meant}"?` : ': "nacelle --help" lists them'}`);
}

function checkParameters({ name, parameters }: Command, given: readonly string[]): void {
  const required = parameters.filter((parameter) => !parameter.startsWith('['));
  if (given.length < required.length) throw new UsageError(`"nacelle ${name}" needs ${required[given.length]}`);
  if (given.length > parameters.length) throw new UsageError(`"nacelle ${name}" takes ${parameters.length || 'no'} parameters, got ${given.length}`);
}

function checkOption(command: Command, name: string): void {
  const specs = optionsOf(command);
  if (Object.hasOwn(specs, name)) return;
  const meant = nearest(name, Object.keys(specs));
  throw new UsageError(`"nacelle ${command.name}" has no option --${name}${meant ? `, did you mean --${meant}?` : ''}`);
}

/** Reads the words after `nacelle`. Options may stand anywhere after the command. @throws UsageError */
export function parseCommand(commands: readonly Command[], words: readonly string[]): Parsed {
  const { command, rest } = findCommand(commands, words);
  const specs = Object.entries(optionsOf(command)).map(([name, { type, short, multiple }]) => [
    name,
    { type, ...(short && { short }), ...(multiple && { multiple }) },
  ]);
  const config = { args: [...rest], options: Object.fromEntries(specs), allowPositionals: true, tokens: true } as const;
  for (const token of parseArgs({ ...config, strict: false }).tokens) if (token.kind === 'option') checkOption(command, token.name);
  try {
    const { values, positionals } = parseArgs({ ...config, strict: true });
    const options = new Options(values);
    if (!options.flag('help')) checkParameters(command, positionals);
    return { command, parameters: positionals, options };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
}
