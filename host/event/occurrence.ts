/** Something that happened in a tenant, of which each function that subscribes to it gets an event of its own. */
import type { CloudEvent } from './cloud-event.ts';
import type { HeaderLines, Place, Subscription, Trigger } from './model.ts';

/** The extension that says which events must stay in order (CloudEvents, "Partitioning"). */
export const partitionAttribute = 'partitionkey';

/** `state` and `object` name a bucket of the tenant. */
export type Happening = { topic: string } | { state: string; key: string } | { object: string; key: string };

export type Occurrence = { tenant: string; what: Happening; event: CloudEvent /** Of the execution that caused it, and one more. */; hops: number };

/** As it is kept. `relayed`: whose copies are enqueued, if they did not fit in one commit. */
export type KeptOccurrence = {
  tenant: string;
  what: Happening;
  attributes: HeaderLines;
  contentType: string | null;
  data: string | null;
  hops: number;
  relayed?: string[];
};

export const keepOccurrence = ({ tenant, what, event: { attributes, contentType, data }, hops }: Occurrence): KeptOccurrence => ({
  tenant,
  what,
  attributes: [...attributes],
  contentType: contentType ?? null,
  data: data && Buffer.from(data).toString('base64'),
  hops,
});

export const reviveOccurrence = ({ tenant, what, attributes, contentType, data, hops }: KeptOccurrence): Occurrence => ({
  tenant,
  what,
  event: { attributes: new Map(attributes), contentType: contentType ?? undefined, data: data === null ? null : Buffer.from(data, 'base64') },
  hops,
});

/** `orders/*` is all keys of the bucket, `orders/new-*` those with a prefix, `orders/one` that key. */
export const matchesPattern = (pattern: string, bucket: string, key: string): boolean => {
  const slash = pattern.indexOf('/');
  if (pattern.slice(0, slash) !== bucket) return false;
  const rest = pattern.slice(slash + 1);
  return rest.endsWith('*') ? key.startsWith(rest.slice(0, -1)) : key === rest;
};

export const triggerOf = (what: Happening): Trigger => ('topic' in what ? 'topic' : 'state' in what ? 'state' : 'object');

const subscribes = (subscription: Subscription, what: Happening): boolean => {
  if ('topic' in what) return 'topic' in subscription && subscription.topic === what.topic;
  if ('state' in what) return 'state' in subscription && matchesPattern(subscription.state, what.state, what.key);
  return 'object' in subscription && matchesPattern(subscription.object, what.object, what.key);
};

/** Where a function with these subscriptions gets it: nowhere, here, at the origin, or both. */
export const placesOf = (subscriptions: readonly Subscription[], what: Happening): Set<Place> =>
  new Set(subscriptions.flatMap((subscription) => (subscribes(subscription, what) && !('cron' in subscription) ? [subscription.at] : [])));
