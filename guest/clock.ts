// The time and chance of the host: the engine's own would be those of the build.
import { now as monotonicNow } from 'wasi:clocks/monotonic-clock';
import { now as wallNow } from 'wasi:clocks/wall-clock';
import { getRandomU64 } from 'wasi:random/random';
import { stage } from './stage.ts';

const EngineDate = Date;
const engineRandom = Math.random;

function nowMs(): number {
  if (!stage.serving) return EngineDate.now();
  const { seconds, nanoseconds } = wallNow();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

/** Date whose "now" is the host's. */
function HostDate(...parts: unknown[]) {
  if (new.target === undefined) return new EngineDate(nowMs()).toString();
  const target = new.target === HostDate ? EngineDate : new.target;
  return Reflect.construct(EngineDate, parts.length === 0 ? [nowMs()] : parts, target);
}
HostDate.prototype = EngineDate.prototype;
Object.assign(HostDate, { now: nowMs, parse: EngineDate.parse, UTC: EngineDate.UTC });
Object.defineProperty(HostDate, 'name', { value: 'Date' });
Object.defineProperty(EngineDate.prototype, 'constructor', { value: HostDate, writable: true, configurable: true });

const performance = {
  now: () => (stage.serving ? Number(monotonicNow()) / 1e6 : 0),
  get timeOrigin() {
    return nowMs() - performance.now();
  },
};

Math.random = () => (stage.serving ? Math.floor(Number(getRandomU64()) / 2048) / 2 ** 53 : engineRandom());
Object.assign(globalThis, { Date: HostDate, performance });
