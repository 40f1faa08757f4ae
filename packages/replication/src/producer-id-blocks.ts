import { corrupt, producerIdsKey } from './metadata-keys.js'
import type { MetadataEntry, MetadataTransaction } from './metadata-store.js'

/** How many producer ids are set apart at once, so that the store is asked once for every so many producers. As in Kafka. */
export const producerIdBlockSize = 1000

/** The version of the value's form. A broker that finds a higher one must not guess. */
const formVersion = 1

/** Producer ids for one broker alone, once `transaction` has succeeded (KIP-730). */
export interface ProducerIdBlock {
  /** The first of them. */
  readonly firstProducerId: number
  /** The one behind the last. */
  readonly endProducerId: number
  /** Sets the block apart. It fails when another broker was quicker, or this one with a lost answer: then the entry is read again. */
  readonly transaction: MetadataTransaction
}

/**
 * The next block of producer ids. None of them may be handed out before its transaction is known to have succeeded; after an unknown
 * outcome the block is lost.
 *
 * @param entry what the store has under `producerIdsKey`; null for nothing
 * @throws ReplicationError `VARVE_METADATA_CORRUPT` when the entry is not one of these transactions'
 */
export function nextProducerIdBlock(entry: MetadataEntry | null): ProducerIdBlock {
  const firstProducerId = entry === null ? 0 : decode(entry)
  const endProducerId = firstProducerId + producerIdBlockSize
  const value = JSON.stringify({ version: formVersion, nextProducerId: endProducerId })
  return {
    firstProducerId,
    endProducerId,
    transaction: {
      compares: [{ key: producerIdsKey, revision: entry?.revision ?? 0 }],
      puts: [{ key: producerIdsKey, value }],
    },
  }
}

function decode(entry: MetadataEntry): number {
  let fields: { version?: unknown; nextProducerId?: unknown } | null
  try {
    fields = JSON.parse(entry.value)
  } catch (cause) {
    throw corrupt(entry, cause)
  }
  const next = fields?.nextProducerId
  if (fields?.version === formVersion && typeof next === 'number' && Number.isSafeInteger(next) && next >= 0)
    return next
  throw corrupt(entry)
}
