import type { DeadLetter } from '../event/dead-letter.ts';
import type { EventView } from '../event/events.ts';
import type { EventAttempt, EventRequest, Place } from '../event/model.ts';
import type { QueueDepth } from '../store/queue.ts';
import { isoTime } from './view.ts';

const viewAttempt = ({ startedAt, endedAt, ...rest }: EventAttempt) => ({
  ...rest,
  startedAt: isoTime(startedAt),
  endedAt: isoTime(endedAt),
});

const viewRequest = ({ method, pathWithQuery, headers }: Omit<EventRequest, 'body'>) => ({ method, path: pathWithQuery, headers });

export const viewEvent = ({ id, body, enqueuedAt, dueAt, state, orderingKey, at }: EventView) => ({
  id,
  ...(at === undefined ? {} : { at }),
  function: body.function,
  trigger: body.trigger,
  state,
  arrivedAt: isoTime(enqueuedAt),
  dueAt: isoTime(dueAt),
  attempts: body.attempts.length,
  ...(body.putOff && { putOff: { ...body.putOff, since: isoTime(body.putOff.since) } }),
  hops: body.hops,
  ...(orderingKey === undefined ? {} : { orderingKey }),
  bytes: body.request.body === null ? 0 : Buffer.byteLength(body.request.body, 'base64'),
  contentType: body.request.headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1] ?? null,
});

export const viewEventDetail = (event: EventView) => ({ ...viewEvent(event), ...viewRequest(event.body.request), tries: event.body.attempts.map(viewAttempt) });

export const viewDeadLetter = ({
  arrivedAt,
  failedAt,
  tries: _tries,
  request: _request,
  hops: _hops,
  body: _body,
  guarantee: _guarantee,
  ...rest
}: DeadLetter) => ({
  ...rest,
  arrivedAt: isoTime(arrivedAt),
  failedAt: isoTime(failedAt),
});

export const viewDeadLetterDetail = (letter: DeadLetter) => ({
  ...viewDeadLetter(letter),
  hops: letter.hops,
  ...viewRequest(letter.request),
  tries: letter.tries.map(viewAttempt),
});

export const viewQueue = (name: string, at: Place, { oldestDueAt, ...depth }: QueueDepth) => ({
  function: name,
  ...(at === undefined ? {} : { at }),
  ...depth,
  ...(oldestDueAt === undefined ? {} : { oldestDueAt: isoTime(oldestDueAt) }),
});
