import { Problem } from '../base/errors.ts';

const decimal = /^-?\d{1,20}$/;

/**
 * A number in decimal text plus `delta`; no value counts as 0.
 * @throws Problem `request-invalid` if the value is no number, or the sum does not fit in 64 bits
 */
export const sumOf = (value: Uint8Array | undefined, { key, delta, unsigned }: { key: string; delta: bigint; unsigned: boolean }): bigint => {
  const text = value ? Buffer.from(value).toString('latin1') : '0';
  if (text.length > 20 || !decimal.test(text))
    throw new Problem('request-invalid', `cannot increment ${JSON.stringify(key)}: its value must be a decimal number`);
  const sum = BigInt(text) + delta;
  if (unsigned ? BigInt.asUintN(64, sum) !== sum : BigInt.asIntN(64, sum) !== sum)
    throw new Problem('request-invalid', `cannot increment ${JSON.stringify(key)}: ${sum} does not fit in 64 bits`);
  return sum;
};
