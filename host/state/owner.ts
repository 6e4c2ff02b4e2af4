/**
 * Who holds a lock or has a turn: an execution as its thread opened it (`COUNT:ID`), since one that is begun again, there or in
 * another thread, is somebody else.
 */
export const ownerOf = ({ number }: { number: number }, opened: string): string => `${number}:${opened}`;

export const executionOf = (owner: string): string => owner.slice(owner.lastIndexOf(':') + 1);
