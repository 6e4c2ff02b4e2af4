import { parse } from '@bytecodealliance/jco';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { readComponent } from '../../host/component/elaborate.ts';
import type { Plan } from '../../host/component/plan.ts';

/** The binary of a component in text form; it need not be valid. */
export async function binaryOf(wat: string): Promise<Uint8Array> {
  return new Uint8Array(await parse(wat));
}

export async function planOf(wat: string): Promise<Plan> {
  return readComponent(await binaryOf(wat));
}

export function refusalOf(bytes: Uint8Array): string {
  try {
    readComponent(bytes);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    assert.is(error.code, 'module-invalid');
    return error.message;
  }
  return 'accepted';
}

/** Asserts that a component in text form is refused, and that the message says so. */
export async function assertRefused(wat: string, message: RegExp): Promise<void> {
  assert.match(refusalOf(await binaryOf(wat)), message);
}
