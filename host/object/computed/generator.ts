import type { ObjectManifest } from '../../capability/object-model.ts';
import type { Digest } from '../../store/blobs.ts';
import type { Measured } from './cost.ts';

/** A function that can make objects. */
export type GeneratorFunction = Pick<ObjectManifest, 'function' | 'version' | 'component' | 'limits'>;

export type GeneratorInput = {
  tenant: string;
  manifest: ObjectManifest;
  /** Of its random numbers. */
  seed: string;
  /** Where its sources are in Blobs, for as long as it runs; the body is that of a single one. */
  sources: { name: string; digest: Digest; bytes: number }[];
};

/** `measured` is known when the bytes have been read to their end. */
export type GeneratorOutput = { body: AsyncIterable<Uint8Array>; contentType: string | undefined; measured(): Promise<Omit<Measured, 'runs'>> };

/** Port: finds functions and runs them as generators. */
export type Generators = {
  /** The live version if none is named. @throws Problem `generator-refused`, with the import that stands in the way */
  resolve(tenant: string, name: string, version: number | undefined): Promise<GeneratorFunction>;
  /** Runs a component, whether its function still exists or not. @throws Problem `generator-failed`, also while `body` is read */
  run(input: GeneratorInput): Promise<GeneratorOutput>;
};
