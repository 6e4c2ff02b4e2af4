import { AbiError } from './trap.ts';

/** The instance whose component defines a resource. A reset makes it another one: what it handed out before is void. */
export type ResourceOwner = { generation: number; destroy(resource: number, rep: number): void };

/** A guest gave away a handle of an instance that is not the one it calls. */
export class ForeignHandleError extends AbiError {}

/** A resource that a guest defines, outside of its instance. */
export class GuestResource {
  private readonly owner: ResourceOwner;
  private readonly generation: number;
  private readonly resource: number;
  private readonly rep: number;

  constructor(owner: ResourceOwner, resource: number, rep: number) {
    this.owner = owner;
    this.generation = owner.generation;
    this.resource = resource;
    this.rep = rep;
  }

  isOf(owner: ResourceOwner): boolean {
    return this.owner === owner && this.generation === owner.generation;
  }

  /** The rep, for the instance that defines the resource. @throws ForeignHandleError for any other */
  repFor(owner: ResourceOwner, resource: number): number {
    if (!this.isOf(owner) || this.resource !== resource)
      throw new ForeignHandleError('the handle belongs to another instance of the component that defines its resource');
    return this.rep;
  }

  /** The last owned handle is gone. Nothing happens if the instance is gone too. */
  destroy(): void {
    if (this.owner.generation === this.generation) this.owner.destroy(this.resource, this.rep);
  }
}
