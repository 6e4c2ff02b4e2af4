/** Turns what executions do into occurrences, in the very commit in which they do it. */

import type { Happenings } from '../capability/keyvalue-draft.ts';
import { bucketOf, tenantOf } from '../capability/keyvalue-keys.ts';
import { type CloudEvent, isAttribute, isAttributeText, makeEvent } from './cloud-event.ts';
import type { Events } from './events.ts';
import type { Occurrence } from './occurrence.ts';

type Sent = { topic: string; contentType: string | null; data: string; metadata: [string, string][] };

/** The event of a message. What it says of itself is kept where it is valid; the rest is made up. */
const eventOf = ({ topic, contentType, data, metadata }: Sent, id: string): CloudEvent => {
  const made = { id, source: '/messages', type: topic, time: new Date().toISOString() };
  const bytes = Buffer.from(data, 'base64');
  const type = contentType !== null && isAttribute('datacontenttype', contentType) ? contentType : undefined;
  const own = Object.fromEntries(metadata.filter(([name, value]) => isAttribute(name, value)));
  try {
    return makeEvent({ ...made, ...own }, type, bytes);
  } catch {
    // Each may be, but all of them are too much.
    return makeEvent(made, type, bytes);
  }
};

/** `events`: undefined until they are put together; before that nobody can subscribe. */
export const createHappenings = (events: () => Events | undefined): Happenings => {
  const note = async (draft: Parameters<Happenings['sent']>[0], occurrence: Occurrence): Promise<void> => {
    const record = events()?.outbox.record(occurrence);
    if (record) await draft.set(record.key, record.value);
  };
  return {
    watches: (bucket) => events()?.watchesState(tenantOf(bucket), bucketOf(bucket)) ?? false,
    changed: async (draft, bucket, key, gone, hops) => {
      const [tenant, name] = [tenantOf(bucket), bucketOf(bucket)];
      const what = { state: name, key };
      if (!events()?.subscribers(tenant, what).length) return;
      const type = gone ? 'nacelle.state.deleted' : 'nacelle.state.changed';
      const event = makeEvent(
        { id: events()?.nextId() ?? '', source: `/state/${name}`, type, subject: subjectOf(key), time: new Date().toISOString() },
        undefined,
        null,
      );
      await note(draft, { tenant, what, event, hops });
    },
    sent: async (draft, tenant, message, hops) => {
      const sent = JSON.parse(Buffer.from(message).toString()) as Sent;
      const what = { topic: sent.topic };
      if (events()?.subscribers(tenant, what).length) await note(draft, { tenant, what, event: eventOf(sent, events()?.nextId() ?? ''), hops });
    },
  };
};

/** A key may have what an attribute must not. */
const subjectOf = (key: string): string => (key !== '' && isAttributeText(key) ? key : encodeURIComponent(key) || '%');
