/**
 * Hands over what comes in one turn of the event loop together: to be woken by a message costs another thread more than
 * to read it.
 */
export const gathering = <T>(handOver: (items: T[]) => void): ((item: T) => void) => {
  let items: T[] = [];
  const flush = (): void => {
    const gathered = items;
    items = [];
    handOver(gathered);
  };
  return (item) => {
    if (items.push(item) === 1) setImmediate(flush);
  };
};
