// Globals that are part of a component only where its code names them.
export { crypto } from './crypto.ts';
export { fetch } from './fetch.ts';
export { URL, URLSearchParams } from './url.ts';
