import { type DestinationStream, destination, type Logger, pino } from 'pino';

/** The node's own log: one JSON object a line. */
export type NodeLog = Pick<Logger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'flush'>;

const secretNames = ['authorization', 'cookie', 'password', 'secret', 'secrets', 'token', 'tokens', 'value'];

/** Makes the node's log, on standard error unless said otherwise. What stands under a name like `token` or `authorization`, up to three levels deep, is not written. */
export function createNodeLog(level: string, stream: DestinationStream = destination({ dest: 2, sync: true })): NodeLog {
  const paths = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino({ level, base: { pid: process.pid }, timestamp: () => `,"time":"${new Date().toISOString()}"`, redact: { paths, censor: '[redacted]' } }, stream);
}
