import { type Context, UsageError } from './command.ts';

/** The value of an option that is a whole number from `least`, of at most `digits` digits; undefined if it is not given. @throws UsageError */
export const wholeOption = ({ options }: Pick<Context, 'options'>, name: string, digits: number, least: 0 | 1 = 1): number | undefined => {
  const text = options.text(name);
  if (text === undefined) return undefined;
  if (!/^(0|[1-9]\d*)$/.test(text) || text.length > digits || Number(text) < least)
    throw new UsageError(`--${name} must be a whole number${least > 0 ? ' above 0' : ''}, got "${text}"`);
  return Number(text);
};
