import { crc32, deflateSync } from 'node:zlib';

const chunk = (type: string, data: Uint8Array): Buffer => {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
};

/** A PNG of waves under a sky, with the grain of a photo; always the same. */
export const photo = (width: number, height: number): Uint8Array<ArrayBuffer> => {
  const rows = Buffer.alloc(height * (1 + width * 3));
  let random = 1;
  for (let y = 0, at = 0; y < height; y++) {
    at++;
    for (let x = 0; x < width; x++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      const light = 90 + (80 * y) / height + 40 * Math.sin(x / 37 + y / 11) * Number(y > height / 2) + (random >>> 28);
      rows[at++] = light * 0.7;
      rows[at++] = light * 0.9;
      rows[at++] = light + 40;
    }
  }
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
  return new Uint8Array(Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', deflateSync(rows, { level: 1 })), chunk('IEND', Buffer.alloc(0))]));
};
