import type { Artifact } from '../module/artifact.ts';

/** An artifact whose core modules are compiled. */
export type CompiledArtifact = Pick<Artifact, 'plan' | 'reports' | 'restorable'> & { modules: WebAssembly.Module[] };

export const pagesPerMib = 16;

/** Memory that one instance begins with: a module that is instantiated twice counts twice. */
export const initialPages = ({ plan, reports }: CompiledArtifact): number =>
  plan.steps.reduce((sum, { module }) => sum + (reports[module]?.memories ?? []).reduce((pages, { minPages }) => pages + minPages, 0), 0);
