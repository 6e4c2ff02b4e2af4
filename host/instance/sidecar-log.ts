import { LineJoiner } from '../telemetry/line-joiner.ts';
import type { ExecutionLog } from '../wasi/context.ts';

/** The log of a sidecar: what it writes stands in the log of the function, each line with the name of the sidecar before it. */
export function sidecarLog(label: string, log: () => ExecutionLog): ExecutionLog & { end(): void } {
  const joiners = new Map<string, LineJoiner>();
  const joiner = (stream: 'stdout' | 'stderr'): LineJoiner => {
    const known = joiners.get(stream);
    if (known) return known;
    const made = new LineJoiner((text) => log().record(stream === 'stdout' ? 'info' : 'error', label, text));
    joiners.set(stream, made);
    return made;
  };
  return {
    write: (stream, bytes) => joiner(stream).write(bytes),
    record: (level, context, message) => log().record(level, context === '' ? label : `${label} ${context}`, message),
    end: () => {
      for (const made of joiners.values()) made.flush();
    },
  };
}
