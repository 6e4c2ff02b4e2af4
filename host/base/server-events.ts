/** One server-sent event; `id` is '' if it has none. */
export type ServerEvent = { event: string; data: string; id: string };

export class EventTooLarge extends Error {}

function parseEvent(block: string): ServerEvent | undefined {
  let event = 'message';
  let id = '';
  const data: string[] = [];
  for (const line of block.split(/\r\n|\r|\n/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    if (field === 'id') id = value;
    if (field === 'data') data.push(value);
  }
  return data.length > 0 ? { event, data: data.join('\n'), id } : undefined;
}

const endOfEvent = /\r?\n\r?\n/g;

/**
 * Reads server-sent events from a body, comments left out (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 * @throws EventTooLarge at an event of more than `charactersMax`; default: no limit
 */
export async function* serverEvents(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  charactersMax = Number.POSITIVE_INFINITY,
): AsyncGenerator<ServerEvent, void, void> {
  const decoder = new TextDecoder();
  let text = '';
  let searched = 0;
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (;;) {
      // The end of an event may be cut by the chunks.
      endOfEvent.lastIndex = Math.max(0, searched - 3);
      const end = endOfEvent.exec(text);
      if (!end) break;
      const event = parseEvent(text.slice(0, end.index));
      text = text.slice(endOfEvent.lastIndex);
      searched = 0;
      if (event) yield event;
    }
    searched = text.length;
    if (text.length > charactersMax) throw new EventTooLarge(`an event has more than ${charactersMax} characters`);
  }
}
