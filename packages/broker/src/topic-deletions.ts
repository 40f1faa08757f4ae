import { join } from 'node:path'
import { readPartitionMetadata } from '@varve/log'
import { VarveError } from '@varve/records'
import type { MetadataEntry, MetadataPut } from '@varve/replication'
import type { BrokerLog } from './broker-log.js'
import type { Clock } from './clock.js'
import type { DataDirectories } from './data-directories.js'
import { DirectoryRemovals } from './directory-removals.js'
import type { MetadataStore } from './metadata/metadata-store.js'
import { renameAway } from './stray-directory.js'

const keyPrefix = '/deletions/'

/** The version of the value's form. A broker that finds a higher one must not guess. */
const formVersion = 1

export interface TopicDeletionsOptions {
  readonly directories: DataDirectories
  readonly metadata: MetadataStore
  /** Whether renamed directories have to survive a power loss under their new names. */
  readonly durable: boolean
  readonly clock: Clock
  readonly log: BrokerLog
}

/** A topic whose deletion is decided. */
export interface DeletedTopic {
  readonly name: string
  readonly topicId: string
  readonly partitions: number
}

/**
 * What remains to be done when a topic is deleted. The transaction that takes its entry away notes the deletion in the same
 * step; then its directories are renamed to `…-delete`, as Kafka does, the note is taken back, and later the files are
 * removed. A crash in between leaves the note, or directories with that name, for the next start to go on from.
 */
export class TopicDeletions {
  readonly #options: TopicDeletionsOptions
  readonly #removals: DirectoryRemovals

  constructor(options: TopicDeletionsOptions) {
    this.#options = options
    this.#removals = new DirectoryRemovals(options)
  }

  /** The note, for the transaction that deletes the topic. */
  static note({ name, topicId, partitions }: DeletedTopic): MetadataPut {
    return { key: keyPrefix + topicId, value: JSON.stringify({ version: formVersion, name, partitions }) }
  }

  /** Goes on with what an earlier run of the broker has begun; before any log is opened. */
  async resume(): Promise<void> {
    const { directories, metadata } = this.#options
    for (const entry of (await metadata.list(keyPrefix)).entries) await this.#putAway(decode(entry))
    await this.#removals.resume(directories.paths)
  }

  /** Takes away the directories of a topic whose logs are closed, and removes them after `delayMs`. */
  async finish(topic: DeletedTopic, delayMs: number): Promise<void> {
    this.#removals.schedule(await this.#putAway(topic), delayMs)
  }

  /** Leaves to the next start what is not due yet, and waits for what is being removed. */
  async close(): Promise<void> {
    await this.#removals.close()
  }

  /** Renames a topic's directories and takes the note back. */
  async #putAway({ name, topicId, partitions }: DeletedTopic): Promise<string[]> {
    const { directories, metadata, durable } = this.#options
    const renamed: string[] = []
    for (let index = 0; index < partitions; index++) {
      const partition = `${name}-${index}`
      for (const { dir } of directories.having(partition)) {
        // A new topic of this name has directories of the same name, with its own id in them.
        const owner = await readPartitionMetadata(join(dir, partition)).catch(() => null)
        if (owner !== topicId) continue
        renamed.push(join(dir, await renameAway(dir, partition, 'delete')))
        directories.forget(dir)
      }
    }
    if (durable) await directories.sync()
    await metadata.txn({ deletes: [keyPrefix + topicId] })
    return renamed
  }
}

function decode({ key, value }: MetadataEntry): DeletedTopic {
  let fields = null as Partial<Record<'version' | 'name' | 'partitions', unknown>> | null
  try {
    fields = JSON.parse(value) as typeof fields
  } catch {
    // What is not JSON is no more ours than what is another form of it.
  }
  const { version, name, partitions } = fields ?? {}
  if (version !== formVersion || typeof name !== 'string' || !Number.isSafeInteger(partitions)) {
    throw new VarveError(
      'VARVE_METADATA_CORRUPT',
      `the metadata entry ${key} is not one that this version wrote: ${value.slice(0, 120)}`,
    )
  }
  return { name, topicId: key.slice(keyPrefix.length), partitions: partitions as number }
}
