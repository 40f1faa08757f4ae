import { randomUuid } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { MetadataEntry, MetadataPut } from '@varve/replication'
import type { MetadataStore } from '../metadata/metadata-store.js'

/** Holds the id of the cluster, which its data directories have as well. */
const clusterIdKey = '/cluster'
/** Holds whose metadata is being taken into the store, until all of it is there. */
export const importKey = '/import'
const formVersion = 1

/** The entry of a cluster's id. */
export function clusterIdPut(clusterId: string): MetadataPut {
  return { key: clusterIdKey, value: JSON.stringify({ version: formVersion, clusterId }) }
}

/** The id that the store has; null where it has none. @throws VarveError `VARVE_METADATA_CORRUPT` */
export function clusterIdIn(entries: readonly MetadataEntry[]): string | null {
  const entry = entries.find(({ key }) => key === clusterIdKey)
  return entry === undefined ? null : decode(entry.value)
}

/** Which cluster a broker expects to find. */
export interface ExpectedCluster {
  /** The id that the cluster must have, or is to have. */
  readonly clusterId: string | undefined
  /** The id that the broker's data directory has; null for a new one. */
  readonly ofDirectory: string | null
}

/**
 * The id of the cluster whose store this is, which the first broker gives it. A directory that has one came from a cluster whose
 * store had it before: where none has, it is another store, in which everything in the directory would be a stray.
 *
 * @throws VarveError `VARVE_FOREIGN_CLUSTER`, `VARVE_METADATA_CORRUPT`, and as the store
 */
export async function clusterIdOf(
  store: MetadataStore,
  { clusterId: wanted, ofDirectory }: ExpectedCluster,
): Promise<string> {
  for (;;) {
    const clusterId = clusterIdIn((await store.list(clusterIdKey)).entries)
    if (clusterId !== null) {
      if (ofDirectory !== null && ofDirectory !== clusterId) {
        throw new VarveError(
          'VARVE_FOREIGN_CLUSTER',
          `the data directory is of the cluster ${ofDirectory}, and the metadata store that of the cluster ${clusterId}; give the store that goes with the directory, or a new directory`,
        )
      }
      if (wanted === undefined || clusterId === wanted) return clusterId
      throw new VarveError(
        'VARVE_FOREIGN_CLUSTER',
        `the metadata store is that of the cluster ${clusterId}, not of ${wanted}; give the right store, or leave the id out`,
      )
    }
    if (ofDirectory !== null) {
      throw new VarveError(
        'VARVE_FOREIGN_CLUSTER',
        `the data directory is of the cluster ${ofDirectory}, and the metadata store knows of no cluster; give the store that goes with the directory, with its prefix, or restore that store if it was lost`,
      )
    }
    if ((await store.list(importKey)).entries.length > 0) {
      throw new VarveError(
        'VARVE_IMPORT_UNFINISHED',
        'a broker is being taken into this metadata store, or that was interrupted; run varve cluster import again, until it says that it is done',
      )
    }
    const newId = wanted ?? randomUuid()
    const { succeeded } = await store.txn({
      compares: [clusterIdKey, importKey].map((key) => ({ key, revision: 0 })),
      puts: [clusterIdPut(newId)],
    })
    if (succeeded) return newId
  }
}

function decode(value: string): string {
  let fields = null as { readonly version?: unknown; readonly clusterId?: unknown } | null
  try {
    fields = JSON.parse(value) as typeof fields
  } catch {
    // What is not JSON is no more ours than what is another form of it.
  }
  if (fields?.version === formVersion && typeof fields.clusterId === 'string') return fields.clusterId
  throw new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata entry ${clusterIdKey} is not one that this version wrote: ${value.slice(0, 120)}`,
  )
}
