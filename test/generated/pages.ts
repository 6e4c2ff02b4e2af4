import type { OptionSpec } from '../../host/cli/command.ts';
import { commands } from '../../host/cli/commands.ts';
import { commonOptions } from '../../host/cli/parse.ts';
import { settings } from '../../host/config/settings.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

/** docs/configuration.md */
export function configurationPage(): string {
  const rows = settings.map(
    ({ key, flag, variable, fallback, description }) =>
      `| \`${key}\` | \`--${flag}\` | \`${variable}\` | \`${JSON.stringify(fallback)}\` | ${cell(description)} |`,
  );
  return `# Configuration of a node
Each setting is resolved once, when the node starts: the flag of \`nacelle serve\` wins over the variable, the variable over the file, the file over the default. The file is JSON with comments: the one that \`--config\` or \`NACELLE_CONFIG\` names, or else \`node.jsonc\` in the working directory if it is there. Keys, flags and variables that do not exist are errors, and a node with a wrong setting does not start: it lists every problem, not the first.

\`\`\`jsonc
{
  "$schema": "./node_modules/nacelle/node.schema.json",
  "http": "0.0.0.0:8080",
  "ceilings": { "memoryMib": 256 }
}
\`\`\`

| key | flag | variable | default | |
|---|---|---|---|---|
${rows.join('\n')}

This page is made from \`host/config/schema.ts\` by \`npm run generate\`.
`;
}

const optionRows = (options: Readonly<Record<string, OptionSpec>>): string[] =>
  Object.entries(options).map(([name, { short, value, multiple, description }]) => {
    const given = `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`;
    return `| \`${cell(given)}\`${multiple ? ' …' : ''} | ${cell(description)} |`;
  });

const optionTable = (options: Readonly<Record<string, OptionSpec>>): string[] =>
  Object.keys(options).length === 0 ? [] : ['', '| option | |', '|---|---|', ...optionRows(options)];

/** docs/cli.md */
export function commandLinePage(): string {
  const sections = commands.map(({ name, parameters, summary, options }) =>
    [
      `## \`nacelle ${[name, ...parameters].join(' ')}\``,
      summary,
      ...(name === 'serve' ? ['', 'Its options are the [settings](configuration.md) of a node, and:'] : []),
    ]
      .concat(optionTable(name === 'serve' ? Object.fromEntries(['config', 'examples'].map((key) => [key, options[key] as OptionSpec])) : options))
      .join('\n'),
  );
  return `# The command line
\`npx nacelle …\` in a checkout. A command finds its node by \`--url\` and \`--token\`, or else by \`NACELLE_URL\` and \`NACELLE_TOKEN\`, or else by the data directory of a node on this machine, which holds \`node.json\` and \`admin.token\`. The token of a data directory is sent to the node of that directory only.

Exit codes: 0 done, 1 refused or failed (the [code](errors.md) and the remedy stand on standard error), 2 wrong usage.

Every command but \`serve\` takes all of these, \`serve\` the last two:
${optionTable(commonOptions()).join('\n')}

${sections.join('\n\n')}

This page is made from \`host/cli/commands/\` by \`npm run generate\`.
`;
}
