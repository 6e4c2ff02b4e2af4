// `npm run lock`, after an `npm install` that changed package-lock.json: names what npm has left out of it (lock-file.ts says why).
import { readFileSync, writeFileSync } from 'node:fs';
import { complete, missingOptional } from './lock-file.ts';

const file = new URL('../../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const { name, version, parent } of missingOptional(lock)) console.log(`${name}@${version} of ${parent}`);
writeFileSync(file, `${JSON.stringify(complete(lock), null, 2)}\n`);
