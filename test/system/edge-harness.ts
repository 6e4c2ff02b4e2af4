import * as assert from 'uvu/assert';
import { fixture, freshDirectory, startTestNode, type TestNode, until } from './node.ts';
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts';

/** Origins and edges as processes. */

export type EdgeView = {
  id: string;
  state: string;
  revision: number;
  alarm: { why: string; detail: string } | null;
  failure: string | null;
  takenBack: { function: string; version: number }[];
  awaited: { function: string; version: number }[];
  pulls: { pulled: number; bytes: number; resumed: number; failed: number };
};

export const tokenOf = async (origin: TestNode, ...scopes: string[]): Promise<string> =>
  ((await (await origin.api('POST', '/v1/tokens', { scopes })).json()) as { token: string }).token;

export const follow = (origin: TestNode, token: string, data = freshDirectory(), more: string[] = []): Promise<TestNode> =>
  startTestNode({ data, gateways: 1, args: ['--origin', origin.control, '--token', token, ...more] });

/** A proxy before the control API of a node. */
export const proxyTo = ({ control }: TestNode): Promise<TcpProxy> => tcpProxy([portOf(control)]);

export const portOf = (url: string): number => Number(new URL(url).port);

export const textOf = async (url: string): Promise<string | undefined> => {
  const response = await fetch(url).catch(() => undefined);
  return response?.ok ? await response.text() : undefined;
};

export const serves = (node: TestNode, path: string, text: string): Promise<true> =>
  until(async () => ((await textOf(node.url + path)) === text ? true : undefined), `${path} to answer ${JSON.stringify(text)}`, 60_000);

export const viewOf = async (node: TestNode): Promise<EdgeView> => ((await (await node.api('GET', '/v1/node')).json()) as { edge: EdgeView }).edge;

export const edgeIs = (node: TestNode, what: string, is: (view: EdgeView) => boolean): Promise<EdgeView> =>
  until(
    async () => {
      const view = await viewOf(node);
      return is(view) ? view : undefined;
    },
    what,
    60_000,
  );

export const readyz = async (node: TestNode): Promise<[status: number, origin: string | undefined]> => {
  const response = await fetch(`${node.control}/readyz`);
  return [response.status, ((await response.json()) as { origin?: string }).origin];
};

export const hello = 'Hello from nacelle!\n';

/** Restarts a node on the addresses that it had. */
export const again = ({ data, url, control }: TestNode, args: string[] = []): Promise<TestNode> =>
  startTestNode({ data, gateways: 1, args: [...args, '--http', new URL(url).host, '--control', new URL(control).host] });

export type RolloutView = {
  state: string;
  stage: number;
  waiting: string | null;
  why: string | null;
  requests: number;
  failures: number;
  edges: { name: string; chosen: boolean; version: number | null; requests: number; takenBack: { failures: number } | null }[];
};

export const rolloutOf = async (origin: TestNode, name: string): Promise<RolloutView> =>
  (await (await origin.api('GET', `/v1/functions/${name}/rollout`)).json()) as RolloutView;

export const rolloutIs = (origin: TestNode, name: string, what: string, is: (view: RolloutView) => boolean): Promise<RolloutView> =>
  until(
    async () => {
      const view = await rolloutOf(origin, name);
      return is(view) ? view : undefined;
    },
    what,
    60_000,
  );

export const edgeOf = (origin: TestNode, token: string, name: string, ...labels: string[]): Promise<TestNode> =>
  follow(origin, token, freshDirectory(), ['--edge-name', name, '--edge-report-ms', '100', ...labels.flatMap((label) => ['--label', label])]);

/** A component with a custom section of so many bytes. */
export const padded = (name: string, bytes: number): Uint8Array => {
  const length: number[] = [];
  for (let rest = bytes + 2; ; rest >>>= 7) {
    if (rest < 128) {
      length.push(rest);
      break;
    }
    length.push((rest & 127) | 128);
  }
  const random = crypto.getRandomValues(new Uint8Array(65_536));
  const content = Buffer.concat(Array.from({ length: Math.ceil(bytes / random.length) }, () => Buffer.from(random))).subarray(0, bytes);
  return Buffer.concat([fixture(name), Buffer.from([0, ...length, 1, 112]), content]);
};

export const deployBytes = async (origin: TestNode, name: string, bytes: Uint8Array, manifest: object = {}): Promise<void> => {
  const { digest } = (await (await origin.api('PUT', '/v1/modules', bytes)).json()) as { digest: string };
  assert.is((await origin.api('POST', '/v1/functions', { name, module: digest, ...manifest })).status, 201);
};
