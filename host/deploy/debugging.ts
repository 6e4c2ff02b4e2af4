import { Problem } from '../base/errors.ts';
import { sidecarLabel } from '../sidecar/composition.ts';
import type { Composer } from './composing.ts';
import type { Ground } from './ground.ts';
import { versionKey } from './keys.ts';
import type { VersionRecord } from './model.ts';
import { requireReversibleSidecars } from './overlay.ts';
import type { DeployedVersion } from './route-table.ts';
import { permits } from './scope.ts';
import { openSecrets, secretsWanted, withSecrets } from './sidecar-secrets.ts';
import type { Tokens } from './token.ts';

const sidecarsMax = 4;

/** Links versions of functions with the sidecars that requests ask for by header. */
export class Debugger {
  private readonly ground: Pick<Ground, 'table' | 'sealer'>;
  private readonly tokens: Pick<Tokens, 'verify'>;
  private readonly composer: Composer;

  constructor(ground: Pick<Ground, 'table' | 'sealer'>, tokens: Pick<Tokens, 'verify'>, composer: Composer) {
    this.ground = ground;
    this.tokens = tokens;
    this.composer = composer;
  }

  /**
   * A version that differs from `version` in its sidecars, and so in its key.
   * @param use names of sidecars for debugging, with versions if need be, separated by commas
   * @throws Problem `debug-refused`, `sidecar-not-found`, `sidecar-invalid`, `guarantee-irreversible`
   */
  async link(version: DeployedVersion, use: string, token: string): Promise<DeployedVersion> {
    const { tenant, function: name } = version;
    const identity = await this.tokens.verify(token);
    if (!identity || !permits(identity.scopes, 'debug', tenant))
      throw new Problem('debug-refused', `cannot debug "${name}": "nacelle-debug-token" must be a token with the scope "debug:${tenant}"`);
    const uses = use.split(',').map((text) => text.trim());
    if (uses.length > sidecarsMax) throw new Problem('request-invalid', `cannot debug "${name}": at most ${sidecarsMax} sidecars, got ${uses.length}`);
    const entry = await this.ground.table.get<VersionRecord>(versionKey(tenant, name, version.version));
    if (!entry) throw new Problem('version-not-found', `cannot debug "${name}": version ${version.version} is gone`);
    const composition = await this.composer.compose(tenant, entry.value.manifest, entry.value.digest, uses);
    if (!composition) return version;
    requireReversibleSidecars(entry.value.manifest, composition);
    const debugged = composition.sidecars.filter(({ why }) => why === 'debug').map((sidecar) => `${sidecarLabel(sidecar)}:${sidecar.digest.slice(7, 23)}`);
    const secrets = await openSecrets(this.ground, tenant, name, secretsWanted({ ...entry.value, composition }));
    return { ...version, key: `${version.key}+debug:${debugged.join(',')}`, like: version.key, composition: withSecrets(composition, secrets), prewarm: 0 };
  }
}
