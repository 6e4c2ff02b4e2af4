/** RFC 4648, section 4, with its padding. Texts may be of many megabytes: no group that is repeated, which needs stack each time. */
export const isBase64 = (text: string): boolean => text.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(text.replace(/={1,2}$/, ''));
