/** Who holds a lock or has a turn: an execution in a thread, since one that is begun again in another is somebody else. */
export const ownerOf = ({ number }: { number: number }, execution: string): string => `${number}:${execution}`;

export const executionOf = (owner: string): string => owner.slice(owner.indexOf(':') + 1);
