import { Problem } from '../../base/errors.ts';
import { Reader, Writer } from '../../component/binary.ts';
import type { Additions } from './additions.ts';
import { limits } from './limits.ts';

const subsection = { module: 0, function: 1 } as const;

/**
 * The name section with the names of the module and of its functions, moved to their new indices, and the names of ours.
 * Local, label and other names are left out. A section that is damaged is left out whole, as engines do.
 */
export const rewriteNames = (contents: Uint8Array | null, add: Additions): Writer => {
  const out = new Writer((contents?.length ?? 0) + 256).name('name');
  const start = out.length;
  try {
    let functions = new Reader(new Uint8Array([0]));
    for (const { id, contents: names } of new Reader(contents ?? new Uint8Array()).sections()) {
      if (id === subsection.module) out.section(id, names.take(names.remaining));
      if (id === subsection.function) functions = names;
    }
    out.section(subsection.function, functionNames(functions, add).bytes);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    out.truncate(start);
    out.section(subsection.function, functionNames(new Reader(new Uint8Array([0])), add).bytes);
  }
  return out;
};

const functionNames = (names: Reader, add: Additions): Writer => {
  const count = names.count('names', limits.functions);
  const { importedFunctions: imported } = add;
  const out = new Writer(names.remaining + 256).u32(count + imported.length + add.functions.length);
  const { importedFunctions, functionTypes } = add.module;
  let introduced = false;
  const introduce = (): void => {
    if (!introduced) for (const [index, name] of imported.entries()) out.u32(importedFunctions + index).name(`nacelle.${name}`);
    introduced = true;
  };
  for (let left = count; left > 0; left--) {
    const index = names.u32();
    if (index >= importedFunctions) introduce();
    out.u32(add.shiftFunction(index)).sized(names.take(names.u32()));
  }
  introduce();
  const firstAdded = importedFunctions + imported.length + functionTypes.length;
  for (const [index, added] of add.functions.entries()) out.u32(firstAdded + index).name(added.name);
  return out;
};
