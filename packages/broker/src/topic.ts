import type { Partition } from './partition.js'

/** A topic as clients see it: a name, an id that no other topic ever has, and partitions numbered from 0. */
export class Topic {
  readonly name: string
  readonly id: string
  readonly partitions: readonly Partition[]

  constructor(name: string, id: string, partitions: readonly Partition[]) {
    this.name = name
    this.id = id
    this.partitions = partitions
  }
}
