import type { HostInterface } from '../../component/host.ts';
import type { LogLevel, WasiContext } from '../context.ts';

export const logging: HostInterface<WasiContext> = {
  name: 'wasi:logging/logging',
  waitless: 'all',
  functions: {
    log: (context: WasiContext, level: LogLevel, topic: string, message: string) => context.execution.log.record(level, topic, message),
  },
};
