import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Serial } from '../base/serial.ts';
import type { Table } from '../store/table.ts';
import { tenantKey, tokenKey, tokenPrefix } from './keys.ts';
import type { TenantRecord, TokenRecord } from './model.ts';
import { type Listed, type ListPage, listPage, scanAll } from './scan.ts';
import { parseScope, type Scope } from './scope.ts';

/** What is known of a token without its secret. */
export type TokenInfo = Omit<TokenRecord, 'hash'>;

/** Who makes a request: the token's id and what it allows. */
export type Identity = { token: string; scopes: Scope[] };

export type Tokens = {
  /**
   * @param expiresAt milliseconds since 1970, null for never
   * @returns the token itself, which is not kept and cannot be shown again
   * @throws Problem `not-found` if a scope names a tenant that does not exist, `request-invalid` if it has expired
   */
  create(options: { scopes: Scope[]; note: string | null; expiresAt: number | null }): Promise<TokenInfo & { token: string }>;
  /** Takes as long for an unknown token as for a wrong one. */
  verify(token: string): Promise<Identity | undefined>;
  list(page: ListPage): Promise<Listed<TokenInfo>>;
  /** @throws Problem `not-found` */
  remove(id: string): Promise<void>;
  /** Takes away every scope in a tenant; a token without any other is removed. */
  removeTenant(tenant: string): Promise<void>;
};

const tokenPattern = /^nacelle_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;
const secretBytes = 32;
const nobody = Buffer.alloc(32);

const hashOf = (token: string): Buffer => createHash('sha256').update(token).digest();
const scopeText = (scope: Scope): string => ('tenant' in scope ? `${scope.kind}:${scope.tenant}` : scope.kind);
const info = ({ hash: _hash, ...rest }: TokenRecord): TokenInfo => rest;

const requireTenants = async (table: Table, scopes: readonly Scope[]): Promise<void> => {
  for (const scope of scopes) {
    if (!('tenant' in scope)) continue;
    const tenant = await table.get<TenantRecord>(tenantKey(scope.tenant));
    if (!tenant || tenant.value.state === 'removing')
      throw new Problem('not-found', `cannot create a token for "${scopeText(scope)}": there is no tenant "${scope.tenant}"`);
  }
};

const takeTenantAway = async (table: Table, tenant: string): Promise<void> => {
  for await (const { key, value, revision } of scanAll<TokenRecord>(table, tokenPrefix)) {
    const scopes = value.scopes.filter((text) => !text.endsWith(`:${tenant}`));
    if (scopes.length === value.scopes.length) continue;
    await table.commit([scopes.length === 0 ? { key, delete: true, expectRevision: revision } : { key, put: { ...value, scopes }, expectRevision: revision }]);
  }
};

/** Tokens are 32 random bytes; only their sha-256 is stored. An expired token is refused and listed until it is removed. */
export const createTokens = ({ table, serial, now }: { table: Table; serial: Serial; now: () => number }): Tokens => ({
  create: ({ scopes, note, expiresAt }) =>
    serial(async () => {
      if (expiresAt !== null && expiresAt <= now()) throw new Problem('request-invalid', 'cannot create a token: expiresAt must be in the future');
      await requireTenants(table, scopes);
      const id = randomBytes(8).toString('hex');
      const token = `nacelle_${id}_${randomBytes(secretBytes).toString('base64url')}`;
      const record: TokenRecord = { id, hash: hashOf(token).toString('hex'), scopes: scopes.map(scopeText), note, createdAt: now(), expiresAt };
      await table.commit([{ key: tokenKey(id), put: record, expectRevision: 0 }]);
      return { ...info(record), token };
    }),

  verify: async (token) => {
    const id = tokenPattern.exec(token)?.[1];
    const stored = await table.get<TokenRecord>(tokenKey(id ?? 'none'));
    const same = timingSafeEqual(hashOf(token), stored ? Buffer.from(stored.value.hash, 'hex') : nobody);
    if (!same || !stored || (stored.value.expiresAt ?? Number.POSITIVE_INFINITY) <= now()) return undefined;
    return { token: stored.value.id, scopes: stored.value.scopes.flatMap((text) => parseScope(text) ?? []) };
  },

  list: async (page) => {
    const listed = await listPage<TokenRecord>(table, tokenPrefix, page);
    return { ...listed, items: listed.items.map(info) };
  },

  remove: (id) =>
    serial(async () => {
      const stored = await table.get<TokenRecord>(tokenKey(id));
      if (!stored) throw new Problem('not-found', `cannot remove token "${id}": there is none of this id`);
      await table.commit([{ key: stored.key, delete: true, expectRevision: stored.revision }]);
    }),

  removeTenant: (tenant) => serial(() => takeTenantAway(table, tenant)),
});
