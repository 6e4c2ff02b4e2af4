// `npm run generate`: writes the files of the repository that are made from the sources.
import { writeFileSync } from 'node:fs';
import { generatedFiles } from './generated/files.ts';

for (const { path, text } of await generatedFiles()) {
  writeFileSync(new URL(`../${path}`, import.meta.url), text);
  console.log(path);
}
