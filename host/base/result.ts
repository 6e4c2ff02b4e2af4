/**
 * How host code answers a WIT `result`: the plain value when it is ok, an `Err` when it is not.
 * A thrown exception is never a WIT error: it ends the guest.
 */
export class Err<E = unknown> {
  readonly value: E;
  constructor(value: E) {
    this.value = value;
  }
}

export const err = <E>(value: E): Err<E> => new Err(value);
