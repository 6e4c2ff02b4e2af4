import { err } from '../../base/result.ts';
import type { HostFunction, HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';

/**
 * Sockets can be imported, because many toolchains do so without need, but not used: whatever would make a socket or
 * a look-up answers `access-denied`. The methods of resources that therefore never exist are there by name alone.
 */

type C = WasiContext;

class Network {}

const denied = err('access-denied');
const refuse = () => denied;
const nothing = () => undefined;

function refusing(resource: string, methods: string): Record<string, HostFunction<C>> {
  return Object.fromEntries(methods.split(' ').map((method) => [`[method]${resource}.${method}`, refuse]));
}

const tcpMethods =
  'start-bind finish-bind start-connect finish-connect start-listen finish-listen accept local-address remote-address is-listening address-family ' +
  'set-listen-backlog-size keep-alive-enabled set-keep-alive-enabled keep-alive-idle-time set-keep-alive-idle-time keep-alive-interval ' +
  'set-keep-alive-interval keep-alive-count set-keep-alive-count hop-limit set-hop-limit receive-buffer-size set-receive-buffer-size ' +
  'send-buffer-size set-send-buffer-size subscribe shutdown';

const udpMethods =
  'start-bind finish-bind stream local-address remote-address address-family unicast-hop-limit set-unicast-hop-limit receive-buffer-size ' +
  'set-receive-buffer-size send-buffer-size set-send-buffer-size subscribe';

export const sockets: HostInterface<C>[] = [
  { name: 'wasi:sockets/instance-network', functions: { 'instance-network': () => new Network() } },
  { name: 'wasi:sockets/network', functions: { 'network-error-code': nothing, '[method]network.noop': nothing }, drop: { network: nothing } },
  { name: 'wasi:sockets/tcp-create-socket', functions: { 'create-tcp-socket': refuse } },
  { name: 'wasi:sockets/tcp', functions: refusing('tcp-socket', tcpMethods), drop: { 'tcp-socket': nothing } },
  { name: 'wasi:sockets/udp-create-socket', functions: { 'create-udp-socket': refuse } },
  {
    name: 'wasi:sockets/udp',
    functions: {
      ...refusing('udp-socket', udpMethods),
      ...refusing('incoming-datagram-stream', 'receive subscribe'),
      ...refusing('outgoing-datagram-stream', 'check-send send subscribe'),
    },
    drop: { 'udp-socket': nothing, 'incoming-datagram-stream': nothing, 'outgoing-datagram-stream': nothing },
  },
  {
    name: 'wasi:sockets/ip-name-lookup',
    functions: { 'resolve-addresses': refuse, ...refusing('resolve-address-stream', 'resolve-next-address subscribe') },
    drop: { 'resolve-address-stream': nothing },
  },
];
