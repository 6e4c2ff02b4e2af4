import { errorTable } from '../../host/base/errors.ts';
import { configJsonSchema } from '../../host/config/settings.ts';
import { manifestJsonSchema } from '../../host/deploy/manifest-schema.ts';
import { verdictJsonSchema } from '../../host/verdict/schema.ts';
import { controlApiPage } from './api-page.ts';
import { manifestPage } from './manifest-page.ts';
import { commandLinePage, configurationPage } from './pages.ts';

/** A file of the repository that is made from the sources. `path` is from the root. */
export type GeneratedFile = { path: string; text: string };

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

const errorsPage = (): string => {
  const rows = Object.entries(errorTable).map(([code, { status, cause, remedy }]) => `| \`${code}\` | ${status} | ${cell(cause)} | ${cell(remedy)} |`);
  return `# Errors
Every error has a code from this table. Over HTTP it comes as \`application/problem+json\` (RFC 9457) with the code, a message that says the action, the constraint and the actual value, and what to do; when a check finds several problems, \`problems\` lists them all. The command line prints the same on stderr and ends with exit code 1.

| code | status | cause | what to do |
|---|---|---|---|
${rows.join('\n')}

This page is made from \`host/base/errors.ts\` by \`npm run generate\`.
`;
};

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

export const generatedFiles = async (): Promise<GeneratedFile[]> => [
  { path: 'docs/cli.md', text: commandLinePage() },
  { path: 'docs/configuration.md', text: configurationPage() },
  { path: 'docs/control-api.md', text: await controlApiPage() },
  { path: 'docs/errors.md', text: errorsPage() },
  { path: 'docs/manifest.md', text: manifestPage() },
  { path: 'manifest.schema.json', text: jsonText(manifestJsonSchema()) },
  { path: 'node.schema.json', text: jsonText(configJsonSchema()) },
  { path: 'verdict.schema.json', text: jsonText(verdictJsonSchema()) },
];
