/** An entry of package-lock.json, as far as it matters here. */
export type LockEntry = {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
};

export type LockFile = { packages: Record<string, LockEntry> };

type Missing = { parent: string; name: string; version: string };

const parts = (location: string): string[] => location.split('/node_modules/');

/** Where Node would find `name` from the package at `parent`, nearest first. */
function places(parent: string, name: string): string[] {
  if (parent === '') return [`node_modules/${name}`];
  const chain = parts(parent).map((_, depth, all) => all.slice(0, all.length - depth).join('/node_modules/'));
  return [...chain.map((location) => `${location}/node_modules/${name}`), `node_modules/${name}`];
}

/**
 * Packages for other platforms that the lock file does not name. npm leaves them out when the registry that it asks has none for
 * them, and `npm ci` then refuses the lock file everywhere.
 */
export function missingOptional({ packages }: LockFile): Missing[] {
  return Object.entries(packages).flatMap(([parent, { optionalDependencies = {} }]) =>
    Object.entries(optionalDependencies)
      .filter(([name, version]) => !places(parent, name).some((place) => packages[place]?.version === version || (place in packages && !/^\d/.test(version))))
      .map(([name, version]) => ({ parent, name, version })),
  );
}

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64'];

/** What a package is for, from its name: `binding-linux-x64-musl`. */
function platformOf(name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/-]/);
  const [os, cpu] = [systems.find((system) => words.includes(system)), processors.find((processor) => words.includes(processor))];
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : words.some((word) => word.startsWith('gnu')) ? 'glibc' : undefined;
  return { ...(os && { os: [os] }), ...(cpu && { cpu: [cpu] }), ...(os === 'linux' && libc && { libc: [libc] }) };
}

/** The lock file with what `missingOptional` finds. Such entries have no digest: nobody could be asked for it. */
export function complete(lock: LockFile): LockFile {
  const packages = { ...lock.packages };
  for (const { parent, name, version } of missingOptional(lock)) {
    const [nearest = '', ...outer] = places(parent, name);
    const place = outer.at(-1) === undefined || (outer.at(-1) as string) in packages ? nearest : (outer.at(-1) as string);
    const dev = packages[parent]?.dev ? { dev: true } : {};
    packages[place] = { version, ...platformOf(name), ...dev, optional: true };
  }
  const [root, ...rest] = Object.entries(packages);
  return { ...lock, packages: Object.fromEntries([root as [string, LockEntry], ...rest.sort(([a], [b]) => (a < b ? -1 : 1))]) };
}
