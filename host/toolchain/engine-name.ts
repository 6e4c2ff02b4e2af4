const RELEASED = 'wasi:';
/** As long as the name that it stands for. */
const ALIAS = 'wasj:';

/** The name of an interface while the engine is linked, which takes those of WASI for its own. */
export const engineName = (text: string): string => text.replaceAll(RELEASED, ALIAS);

/** The linked component with the names that it is to have. */
export function withReleasedNames(component: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(component).toString('latin1').replaceAll(ALIAS, RELEASED), 'latin1');
}
