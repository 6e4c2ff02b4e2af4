/** How the modules of this package end: `.ts` in a checkout, `.js` when built. For those that are not named by an import. */
export const moduleExtension: string = /\.[a-z]+$/.exec(import.meta.url)?.[0] ?? '.ts';
