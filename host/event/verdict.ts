/** What is made of an attempt by whoever judges it: see control.ts for functions, built-in.ts for what needs no code. */
import type { Delivered, EventFunction, EventItem, HeaderLines, JudgedBy, OtherLimits } from './model.ts';
import type { Failure } from './retry.ts';

export type Subject = {
  id: string;
  /** With this attempt as its last. */
  item: EventItem;
  target: EventFunction;
  delivered: Delivered;
  /** Undefined: the guest answered, and a rule of `onResult` is to say whether the answer is right. */
  failure: Failure | undefined;
};

export type Judgement = { by: JudgedBy } & (
  | { do: 'retry'; use: { version?: number; limits?: OtherLimits }; input?: { body: string; contentType?: string }; delayMs: number }
  | { do: 'complete'; result: { status: number; headers: HeaderLines; body: Uint8Array } }
  | { do: 'accept' | 'dead-letter' | 'drop' }
);

/** Undefined: nobody is to judge this, or nobody could. */
export type Judge = (subject: Subject) => Promise<Judgement | undefined>;
