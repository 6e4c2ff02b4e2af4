/** What the tests of control functions share: a node, and functions that fail as their payload says. */
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import type { Judged } from '../../host/verdict/model.ts';
import { startTestNode, type TestNode, until } from './node.ts';

const capabilities = { keyvalue: { '': 'work' } };
export const quick = { retries: 1, backoffMs: 20 };
export const onWork = { capabilities };

type Decision = { kind: string; choice: string; subject: string; inputs: Record<string, string | number> };

export class ControlKit {
  readonly node: TestNode;

  static on(node: TestNode): ControlKit {
    return new ControlKit(node);
  }

  private constructor(node: TestNode) {
    this.node = node;
  }

  static async start(): Promise<ControlKit> {
    return new ControlKit(await startTestNode({ gateways: 1, args: ['--ceilings-memory-mib', '256'] }));
  }

  /** A function `triage-NAME` that answers with a verdict, and a function NAME that asks it. */
  async deployPair(name: string, verdicts: Record<string, unknown>, manifest: Record<string, unknown> = {}): Promise<void> {
    await this.deployControl(`triage-${name}`, verdicts);
    await this.node.deploy(name, 'deliver', { capabilities, onFailure: { ...quick, control: `triage-${name}` }, ...manifest });
  }

  async deployControl(name: string, verdicts: Record<string, unknown>): Promise<void> {
    const config = Object.fromEntries(Object.entries(verdicts).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]));
    await this.node.deploy(name, 'triage', { config, capabilities: { keyvalue: { '': name } }, limits: { cpuMs: 200 } });
  }

  post(name: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.node.url}/${name}/`, { method: 'POST', body, headers: { 'content-type': 'text/plain', ...headers } });
  }

  executionOf(response: Response): Promise<ExecutionRecord> {
    return this.node.execution(response.headers.get('nacelle-execution'));
  }

  /** Sends an event, and resolves with its execution. */
  async send(name: string, payload: string): Promise<string> {
    const response = await fetch(`${this.node.control}/v1/events?function=${name}`, {
      method: 'POST',
      headers: {
        'authorization': `Bearer ${this.node.token}`,
        'ce-specversion': '1.0',
        'ce-id': String(Math.random()),
        'ce-source': '/t',
        'ce-type': 'made',
        'content-type': 'text/plain',
      },
      body: payload,
    });
    assert.is(response.status, 202, await response.clone().text());
    return ((await response.json()) as { items: { id: string }[] }).items[0]?.id as string;
  }

  ended(id: string): Promise<ExecutionRecord> {
    return until(async () => {
      const response = await this.node.api('GET', `/v1/executions/${id}`);
      if (response.status === 404) return undefined;
      const record = (await response.json()) as ExecutionRecord;
      return ['succeeded', 'failed', 'dead-lettered'].includes(record.state) ? record : undefined;
    }, `the end of ${id}`);
  }

  async json<T>(path: string): Promise<T> {
    const response = await this.node.api('GET', path);
    assert.is(response.status, 200, `${path}: ${await response.clone().text()}`);
    return (await response.json()) as T;
  }

  async counted(key: string, bucket = 'work'): Promise<number> {
    const response = await this.node.api('GET', `/v1/state/${bucket}/${key}`);
    return response.status === 404 ? 0 : Number(await response.text());
  }

  /** What was decided about an execution. */
  async decisions(execution: string): Promise<Decision[]> {
    return (await this.json<{ items: Decision[] }>(`/v1/decisions?kind=control&subject=${execution}`)).items;
  }
}

export const judgedIn = (record: ExecutionRecord): (Judged | undefined)[] => (record.attempts ?? []).map(({ judged }) => judged);

export const codesIn = (record: ExecutionRecord): (string | null)[] => (record.attempts ?? []).map(({ code }) => code);
