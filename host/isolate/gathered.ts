import { deserialize, serialize } from 'node:v8';
import type { Effects } from '../wasi/overlay.ts';

/** Largest part: well within the ring. */
const partBytesMax = 64 * 1024;

/** What an overlay holds, in parts that fit into frames; no parts if it is empty. */
export function encodeEffects(effects: Effects): Uint8Array[] {
  if (effects.reads.length === 0 && effects.effects.length === 0) return [];
  const whole = serialize(effects);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += partBytesMax) parts.push(whole.subarray(at, at + partBytesMax));
  return parts;
}

export function decodeEffects(parts: readonly Uint8Array[]): Effects {
  return deserialize(parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)) as Effects;
}
