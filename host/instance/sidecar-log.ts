import { LineJoiner } from '../telemetry/line-joiner.ts';
import type { ExecutionLog, ExecutionPorts, LogLevel } from '../wasi/context.ts';

/** The log of a sidecar: what it writes stands in the log of the function, each line with the name of the sidecar before it. */
export class SidecarLog implements ExecutionLog {
  private readonly label: string;
  /** Whose log is opened when something is written. */
  private readonly ports: Pick<ExecutionPorts, 'log'>;
  private stdout: LineJoiner | undefined;
  private stderr: LineJoiner | undefined;

  constructor(label: string, ports: Pick<ExecutionPorts, 'log'>) {
    this.label = label;
    this.ports = ports;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this[stream] ??= new LineJoiner((text) => this.ports.log.record(stream === 'stdout' ? 'info' : 'error', this.label, text));
    this[stream].write(bytes);
  }

  record(level: LogLevel, context: string, message: string): void {
    this.ports.log.record(level, context === '' ? this.label : `${this.label} ${context}`, message);
  }

  end(): void {
    this.stdout?.flush();
    this.stderr?.flush();
  }
}
