import { randomUUID } from 'node:crypto';
import { bucketId, bucketOf, tenantOf } from '../capability/keyvalue-keys.ts';
import type { Events } from '../event/events.ts';
import type { EventItem } from '../event/model.ts';
import type { Occurrence } from '../event/occurrence.ts';
import type { ObjectName } from '../wasi/blobstore-port.ts';
import type { EventWrites, ObjectEvent } from './object-event.ts';

const sourcePrefix = '/buckets/';

/** A CloudEvent `nacelle.object.created` or `nacelle.object.removed`. */
const occurrenceOf = ({ kind, id, key, etag, bytes, contentType, at, hops = 0 }: ObjectEvent): Occurrence => {
  const bucket = bucketOf(id);
  const attributes = new Map([
    ['id', randomUUID()],
    ['source', sourcePrefix + bucket],
    ['specversion', '1.0'],
    ['type', `nacelle.object.${kind}`],
    ['subject', key],
    ['time', new Date(at).toISOString()],
  ]);
  const data = Buffer.from(JSON.stringify({ bucket, key, etag, bytes, contentType }));
  return { tenant: tenantOf(id), what: { object: bucket, key }, event: { attributes, contentType: 'application/json', data }, hops: hops + 1 };
};

/** Writes an outbox record for each change of an object that some function subscribes to, in the commit of that change. */
export const tellSubscribers =
  (events: Pick<Events, 'outbox' | 'subscribers'>): EventWrites =>
  (changes) =>
    changes.flatMap((change) => {
      const occurrence = occurrenceOf(change);
      if (events.subscribers(occurrence.tenant, occurrence.what).length === 0) return [];
      const { key, value } = events.outbox.record(occurrence);
      return [{ key, put: value }];
    });

/** The object that an event is the creation of, for the one who is called for it. Events come from the node: nobody else makes one with this trigger. */
export const uploadOf = ({ trigger, tenant, request: { headers } }: Pick<EventItem, 'trigger' | 'tenant' | 'request'>): ObjectName | undefined => {
  const attributes = new Map(headers);
  const bucket = attributes.get('ce-source')?.slice(sourcePrefix.length);
  if (trigger !== 'object' || attributes.get('ce-type') !== 'nacelle.object.created' || !bucket) return undefined;
  return { container: bucketId(tenant, bucket), name: decodeURIComponent(attributes.get('ce-subject') ?? '') };
};
