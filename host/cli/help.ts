import type { Command, OptionSpec } from './command.ts';
import { commonOptions } from './parse.ts';

const usage = ({ name, parameters, options }: Command): string => {
  const some = Object.keys(options).length > 0 ? ['[options]'] : [];
  return ['nacelle', name, ...parameters, ...some].join(' ');
};

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(40, Math.max(...rows.map(([left]) => left.length)));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

function optionRows(options: Readonly<Record<string, OptionSpec>>): [string, string][] {
  return Object.entries(options).map(([name, { short, value, multiple, description }]) => {
    const names = `${short ? `-${short}, ` : ''}--${name}`;
    return [`${names}${value ? ` ${value}` : ''}${multiple ? '…' : ''}`, description];
  });
}

/** What `nacelle --help` prints. */
export const overview = (commands: readonly Command[]): string =>
  [
    'nacelle: an edge host for WebAssembly components',
    '',
    ...columns(commands.map((command) => [[command.name, ...command.parameters].join(' '), command.summary])),
    '',
    'With every command (serve has but the last two):',
    ...columns(optionRows(commonOptions())),
    '',
    'Exit codes: 0 done, 1 refused or failed, 2 wrong usage.',
  ].join('\n');

/** What `nacelle COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  const own = optionRows(command.options);
  const common = optionRows(Object.fromEntries(Object.entries(commonOptions(command)).filter(([name]) => !Object.hasOwn(command.options, name))));
  return [usage(command), command.summary, '', ...columns([...own, ...common])].join('\n');
}
