/**
 * Functions that were removed and have left something: what only their executions shared, and the keys of their requests. A
 * record tells of each until all of that is gone, so that it goes also when the node ends meanwhile, and no later function
 * of that name sees any of it.
 */
import type { Write } from '../store/table.ts';
import type { Ground } from './ground.ts';
import { removalKey, removalPrefix } from './keys.ts';
import { scanAll } from './scan.ts';

export const noteRemoval = (tenant: string, name: string): Write => ({ key: removalKey(tenant, name), put: true });

/** Removals that are being ended, by their keys: who comes meanwhile waits for the same, since a second one could take from the next function of the name. */
const ending = new WeakMap<object, Map<string, Promise<void>>>();

/** Does nothing for a function that has left nothing. Every step may be repeated. */
export const finishRemoval = (ground: Pick<Ground, 'table' | 'forget'>, tenant: string, name: string): Promise<void> => {
  const key = removalKey(tenant, name);
  const all = ending.get(ground.table) ?? new Map<string, Promise<void>>();
  ending.set(ground.table, all);
  const done = all.get(key) ?? finish(ground, key, tenant, name).finally(() => all.delete(key));
  all.set(key, done);
  return done;
};

const finish = async ({ table, forget }: Pick<Ground, 'table' | 'forget'>, key: string, tenant: string, name: string): Promise<void> => {
  if (!(await table.get(key))) return;
  await forget(tenant, name);
  await table.commit([{ key, delete: true }]);
};

export const finishRemovals = async (ground: Pick<Ground, 'table' | 'forget'>, tenant: string): Promise<void> => {
  for await (const { key } of scanAll(ground.table, removalPrefix(tenant))) await finishRemoval(ground, tenant, key.slice(removalPrefix(tenant).length));
};
