import { type Context, UsageError } from './command.ts';

/** The value of an option that is a whole number above 0, of at most `digits` digits; undefined if it is not given. @throws UsageError */
export const wholeOption = ({ options }: Pick<Context, 'options'>, name: string, digits: number): number | undefined => {
  const text = options.text(name);
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text) || text.length > digits) throw new UsageError(`--${name} must be a whole number above 0, got "${text}"`);
  return Number(text);
};
