/**
 * What edges and origins say to each other has a version. An edge names those that it speaks with every request; an origin speaks
 * the newest that both know, or refuses. Messages of the feed are the same for all edges, so they are written for the oldest.
 */
export type Protocols = { oldest: number; newest: number };

/** 2: reports name versions that are awaited, and what is not known in a report is passed over. */
export const protocols: Protocols = { oldest: 1, newest: 2 };

export const protocolHeader = 'nacelle-protocol';

export const protocolsText = ({ oldest, newest }: Protocols): string => (oldest === newest ? `${oldest}` : `${oldest}-${newest}`);

/** Edges of before there were versions say nothing. @returns undefined if the text names none */
export function parseProtocols(text: string | undefined): Protocols | undefined {
  if (text === undefined) return { oldest: 1, newest: 1 };
  const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text) ?? [];
  const [oldest, newest] = [Number(first), Number(last)];
  return oldest >= 1 && newest >= oldest ? { oldest, newest } : undefined;
}

/** The newest that both speak. */
export const commonProtocol = (a: Protocols, b: Protocols): number | undefined => {
  const newest = Math.min(a.newest, b.newest);
  return newest >= Math.max(a.oldest, b.oldest) ? newest : undefined;
};

/** For people: which side has to be brought to the version of the other. */
export const protocolConflict = (edge: Protocols, origin: Protocols): string => {
  const older = edge.newest < origin.oldest ? 'the edge is too old for the origin: update the edge' : 'the origin is too old for the edge: update the origin';
  return `the edge speaks protocol ${protocolsText(edge)}, the origin ${protocolsText(origin)}; ${older}`;
};
