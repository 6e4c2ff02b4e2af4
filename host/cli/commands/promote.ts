import { type Command, UsageError } from '../command.ts';
import { print } from '../terminal.ts';

const wholeNumber = (text: string, what: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${what} must be a whole number, got "${text}"`);
  return Number(text);
};

export const promote: Command = {
  name: 'promote',
  summary: 'Set a version live.',
  parameters: ['FN', 'VERSION'],
  options: { weight: { type: 'string', value: 'N', description: 'Share of requests in percent; only 100 in this version.' } },
  run: async ({ parameters: [name = '', version = ''], options, terminal, connect }) => {
    const weight = options.text('weight');
    const json = { version: wholeNumber(version, 'VERSION'), ...(weight === undefined ? {} : { weight: wholeNumber(weight, '--weight') }) };
    const { api, tenant } = connect();
    const live = await (await api.v1.functions[':name'].live.$post({ param: { name }, query: tenant, json })).json();
    print(terminal, live, () => `${name}: version ${version} is live`);
  },
};
