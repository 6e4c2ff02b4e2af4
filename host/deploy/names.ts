/** Tenants and functions are named by DNS labels, since both appear in host names. */
const labelPattern = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What a name must be, for messages and schemas. */
export const nameConstraint = 'must be 1 to 63 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen';
export const namePattern = labelPattern;
export const isName = (value: string): boolean => labelPattern.test(value);

/** The tenant that always exists; it may use every route. */
export const defaultTenant = 'default';

export const digestPattern = /^sha256:[0-9a-f]{64}$/;
