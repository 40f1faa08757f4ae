import { VarveError } from '@varve/records'
import type { MetadataEntry } from '@varve/replication'
import { type ConfigValues, isConfigs, noValues } from './configs/stored-configs.js'

/** The prefix of all topics' keys in the metadata store. */
export const topicKeyPrefix = '/topics/'

/** What the metadata store holds of a topic. */
export interface TopicEntry {
  readonly name: string
  readonly topicId: string
  readonly partitions: number
  readonly leaderEpoch: number
  /** The topic's own configurations. */
  readonly configs: ConfigValues
}

/** The version of the value's form. A broker that finds a higher one must not guess. */
const formVersion = 2
/** Without configurations. */
const firstFormVersion = 1

export function topicKey(name: string): string {
  return topicKeyPrefix + name
}

export function encodeTopicEntry({ topicId, partitions, leaderEpoch, configs }: TopicEntry): string {
  return JSON.stringify({
    version: formVersion,
    topicId,
    partitions,
    leaderEpoch,
    configs: Object.fromEntries(configs),
  })
}

/** @throws VarveError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodeTopicEntry} wrote */
export function decodeTopicEntry(entry: MetadataEntry): TopicEntry {
  const name = entry.key.slice(topicKeyPrefix.length)
  let value: unknown
  try {
    value = JSON.parse(entry.value)
  } catch (cause) {
    throw corrupt(entry, cause)
  }
  const { version, topicId, partitions, leaderEpoch, configs } = (value ?? {}) as Record<string, unknown>
  const hasConfigs = version === formVersion
  if (
    (!hasConfigs && version !== firstFormVersion) ||
    typeof topicId !== 'string' ||
    !isCount(partitions) ||
    partitions === 0 ||
    !isCount(leaderEpoch) ||
    (hasConfigs && !isConfigs(configs))
  ) {
    throw corrupt(entry)
  }
  const own = hasConfigs ? new Map(Object.entries(configs as Record<string, string>)) : noValues
  return { name, topicId, partitions, leaderEpoch, configs: own }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function corrupt(entry: MetadataEntry, cause?: unknown): VarveError {
  return new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata entry ${entry.key} is not one that this version wrote: ${entry.value.slice(0, 120)}`,
    { cause },
  )
}
