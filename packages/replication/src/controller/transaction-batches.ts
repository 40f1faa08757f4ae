import {
  maxTransactionOperations,
  type MetadataCompare,
  type MetadataPut,
  type MetadataTransaction,
} from '../metadata-store.js'
import type { PartitionChange } from './partition-changes.js'

/** Changes of partitions that go in one transaction. */
export interface PartitionBatch {
  readonly changes: readonly PartitionChange[]
  readonly transaction: MetadataTransaction
}

/**
 * Puts changes together into as few transactions as there may be: what a broker's loss asks for is many partitions' at once.
 *
 * @param isAlone whether one is to go by itself, so that it is not failed by its neighbours again
 */
export function batchesOf(
  changes: readonly PartitionChange[],
  isAlone: (key: string) => boolean,
): readonly PartitionBatch[] {
  const alone = changes.filter(({ key }) => isAlone(key)).map((change) => [change])
  const together: PartitionChange[][] = []
  let compared = new Set<string>()
  for (const change of changes) {
    if (isAlone(change.key)) {
      continue
    }
    const added = change.compares.filter(({ key }) => !compared.has(key))
    // One is left for the comparison with who is the controller.
    if (together.length === 0 || compared.size + added.length >= maxTransactionOperations) {
      together.push([])
      compared = new Set()
    }
    together.at(-1)!.push(change)
    for (const { key } of change.compares) {
      compared.add(key)
    }
  }
  return [...together, ...alone].map((each) => ({ changes: each, transaction: transactionOf(each) }))
}

function transactionOf(changes: readonly PartitionChange[]): MetadataTransaction {
  const compares = new Map<string, MetadataCompare>()
  const puts: MetadataPut[] = []
  const deletes: string[] = []
  for (const change of changes) {
    for (const compare of change.compares) {
      compares.set(compare.key, compare)
    }
    if (change.put === null) {
      deletes.push(change.key)
    } else {
      puts.push(change.put)
    }
  }
  return { compares: [...compares.values()], puts, deletes }
}
