import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openDataDirectory } from '@varve/log'
import { VarveError } from '@varve/records'
import {
  decodeTopicRegistration,
  encodePartitionState,
  encodeTopicRegistration,
  maxTransactionOperations,
  type MetadataEntry,
  type MetadataPut,
  noBroker,
  partitionKey,
  topicKey,
  topicKeyPrefix,
} from '@varve/replication'
import { type BrokerLog, silentLog } from '../broker-log.js'
import { systemClock } from '../clock.js'
import { type ClusterOptions, resolveStore } from '../cluster-options.js'
import { DataDirectories } from '../data-directories.js'
import { LocalMetadataStore } from '../metadata/local-metadata-store.js'
import { metadataLogName } from '../metadata/metadata-log.js'
import type { MetadataStore } from '../metadata/metadata-store.js'
import { putAside } from '../stray-directory.js'
import { TopicDeletions } from '../topic-deletions.js'
import { decodeTopicEntry, type TopicEntry } from '../topic-entry.js'
import { clusterIdIn, clusterIdPut, importKey } from './cluster-id.js'

/** Whose metadata is taken, and where to. */
export interface ImportIntoClusterOptions {
  /** The data directory of the broker, or its directories. */
  data: string | readonly string[]
  /** The metadata store of the cluster that there is to be, which has to be empty. */
  cluster: string | Pick<ClusterOptions, 'url' | 'etcd' | 'openStore'>
  /** Takes log lines. Default: none are kept. */
  log?: BrokerLog
}

/** What has been taken into the metadata store of a cluster. */
export interface ImportedBroker {
  readonly clusterId: string
  /** The id with which the broker has to be started from now on. */
  readonly brokerId: number
  readonly topics: number
  readonly partitions: number
  /** Where the broker's own metadata is now, which nobody reads any more. */
  readonly metadataAside: string
}

/** Who imports, as the store holds it meanwhile. */
interface Importer {
  readonly clusterId: string
  readonly brokerId: number
}

/**
 * Makes a broker that is alone the first one of a cluster: takes its topics, configurations and producer ids into an empty metadata
 * store, with the broker as the only replica of each partition, under the cluster id that it has. Its records stay where they are. Once
 * everything is in the store, its own metadata is put aside, and the directory can only be opened as one of the cluster.
 *
 * It can be interrupted at any moment and called again.
 *
 * @example
 * ```ts
 * import { importIntoCluster, startBroker } from 'varve'
 *
 * const cluster = 'etcd://10.0.0.1:2379/varve'
 * const { brokerId } = await importIntoCluster({ data: './data', cluster })
 * const broker = await startBroker({ data: './data', nodeId: brokerId, cluster })
 * ```
 * @throws VarveError
 * - `VARVE_LOCKED`: the broker runs.
 * - `VARVE_NOT_ALONE`: the directory has no metadata of its own: it is new, of a cluster, or was imported before.
 * - `VARVE_STORE_NOT_EMPTY`: the store has something else.
 * - `VARVE_METADATA_CORRUPT`, `VARVE_METADATA_UNAVAILABLE` and what else its own metadata or the store meets with.
 */
export async function importIntoCluster(options: ImportIntoClusterOptions): Promise<ImportedBroker> {
  const { data, cluster, log = silentLog } = options
  const paths = (typeof data === 'string' ? [data] : data).map((path) => resolve(path))
  const { openStore } = resolveStore(typeof cluster === 'string' ? { url: cluster } : cluster)
  const home = paths.find((path) => existsSync(join(path, metadataLogName)))
  if (home === undefined) {
    throw new VarveError(
      'VARVE_NOT_ALONE',
      `${paths.join(' and ')} has no metadata of its own (${metadataLogName}), so there is nothing to be imported: it is new, or is of a cluster already; start it with its cluster`,
    )
  }
  const directories = await DataDirectories.open(paths, {}, openDataDirectory)
  try {
    const local = await LocalMetadataStore.open(directories.first, { durability: 'fsync', log })
    let taken: Local
    try {
      const deletions = new TopicDeletions({
        directories,
        metadata: local,
        durable: true,
        clock: systemClock,
        log,
      })
      await deletions.resume()
      await deletions.close()
      taken = await read(local)
    } finally {
      await local.close()
    }
    const { clusterId, nodeId: brokerId } = directories.first
    const store = await openStore({ clock: systemClock, log })
    try {
      await new Import(store, { clusterId, brokerId }, taken).run()
    } finally {
      await store.close()
    }
    const metadataAside = join(home, await putAside(home, metadataLogName))
    await directories.sync()
    const partitions = taken.topics.reduce((sum, topic) => sum + topic.partitions, 0)
    return { clusterId, brokerId, topics: taken.topics.length, partitions, metadataAside }
  } finally {
    await directories.close()
  }
}

/** What a broker's own metadata comes to. */
interface Local {
  readonly topics: readonly TopicEntry[]
  /** What is the same in a cluster: configurations of brokers, producer ids. */
  readonly others: readonly MetadataEntry[]
}

async function read(metadata: MetadataStore): Promise<Local> {
  const { entries } = await metadata.list('/')
  const isTopic = ({ key }: MetadataEntry): boolean => key.startsWith(topicKeyPrefix)
  return {
    topics: entries.filter(isTopic).map(decodeTopicEntry),
    others: entries.filter((entry) => !isTopic(entry)),
  }
}

/**
 * The work in the store. It begins with a note of who imports, which keeps brokers from making a cluster of what is there, and every
 * transaction compares it. The last one puts the id of the cluster in its place. What an import that was interrupted has
 * left is deleted first: the broker may have been used since.
 */
class Import {
  readonly #store: MetadataStore
  readonly #importer: Importer
  readonly #local: Local
  /** Of the note. */
  #revision = 0

  constructor(store: MetadataStore, importer: Importer, local: Local) {
    this.#store = store
    this.#importer = importer
    this.#local = local
  }

  async run(): Promise<void> {
    const { entries } = await this.#store.list('/')
    if (clusterIdIn(entries) === this.#importer.clusterId) return this.#checkComplete(entries)
    await this.#begin(entries)
    await this.#put(this.#local.topics.flatMap((topic) => this.#partitionsOf(topic)))
    await this.#put(this.#local.topics.map(topicPut))
    await this.#put(this.#local.others)
    await this.#change({ puts: [clusterIdPut(this.#importer.clusterId)], deletes: [importKey] })
  }

  /** An earlier import has come to its end, and only the directory does not know it. */
  #checkComplete(entries: readonly MetadataEntry[]): void {
    const missing = this.#local.topics.find(({ name, topicId }) => {
      const entry = entries.find(({ key }) => key === topicKey(name))
      return entry === undefined || decodeTopicRegistration(entry).topicId !== topicId
    })
    if (missing === undefined) return
    throw new VarveError(
      'VARVE_STORE_NOT_EMPTY',
      `the metadata store has this cluster already, without the topic ${missing.name}, so the broker was started alone after it had been imported; import it into another, empty prefix`,
    )
  }

  async #begin(entries: readonly MetadataEntry[]): Promise<void> {
    const value = JSON.stringify({ version: 1, ...this.#importer })
    const note = entries.find(({ key }) => key === importKey)
    if (note === undefined ? entries.length > 0 : note.value !== value) {
      throw new VarveError(
        'VARVE_STORE_NOT_EMPTY',
        `the metadata store has ${entries.length} entries already, ${entries[0]!.key} for one, that are not of this broker; give the cluster a prefix of its own`,
      )
    }
    const { succeeded, revision } = await this.#store.txn({
      compares: [{ key: importKey, revision: note?.revision ?? 0 }],
      puts: [{ key: importKey, value }],
    })
    if (!succeeded) throw this.#overtaken()
    this.#revision = revision
    const left = entries.map(({ key }) => key).filter((key) => key !== importKey)
    for (const deletes of inBatches(left)) await this.#change({ deletes })
  }

  async #put(puts: readonly MetadataPut[]): Promise<void> {
    for (const batch of inBatches(puts))
      await this.#change({ puts: batch.map(({ key, value }) => ({ key, value })) })
  }

  async #change(change: {
    readonly puts?: readonly MetadataPut[]
    readonly deletes?: readonly string[]
  }): Promise<void> {
    const compares = [{ key: importKey, revision: this.#revision }]
    const { succeeded } = await this.#store.txn({ compares, ...change })
    if (!succeeded) throw this.#overtaken()
  }

  #overtaken(): VarveError {
    return new VarveError(
      'VARVE_METADATA_CONFLICT',
      'somebody else changes the metadata store at the same time; import the broker once, and again when this is over',
    )
  }

  /** The broker has the only replica, which leads as soon as the broker is there. */
  #partitionsOf({ topicId, partitions, leaderEpoch }: TopicEntry): MetadataPut[] {
    const { brokerId } = this.#importer
    return Array.from({ length: partitions }, (_, partition) => ({
      key: partitionKey(topicId, partition),
      value: encodePartitionState({
        topicId,
        partition,
        replicas: [brokerId],
        addingReplicas: [],
        removingReplicas: [],
        leader: noBroker,
        leaderEpoch,
        isr: [brokerId],
        eligibleLeaderReplicas: [],
        lastKnownLeader: brokerId,
        // With one replica no more can be asked for.
        minInsyncReplicas: 1,
        partitionEpoch: 0,
      }),
    }))
  }
}

function topicPut({ name, topicId, partitions, configs }: TopicEntry): MetadataPut {
  const value = encodeTopicRegistration({ topicId, partitions, configs: Object.fromEntries(configs) })
  return { key: topicKey(name), value }
}

function inBatches<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / maxTransactionOperations)
  return Array.from({ length: count }, (_, batch) =>
    all.slice(batch * maxTransactionOperations, (batch + 1) * maxTransactionOperations),
  )
}
