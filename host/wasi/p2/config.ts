import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';

type C = WasiContext;

const functions = {
  get: (context: C, key: string) => context.grant.config.get(key),
  'get-all': (context: C) => [...context.grant.config],
};

/** The settings and secrets that the grant holds. The draft called the interface `runtime` before it became `store`. */
export const configInterfaces: HostInterface<C>[] = [
  { name: 'wasi:config/store', waitless: 'all', functions },
  { name: 'wasi:config/runtime', waitless: 'all', functions },
];
