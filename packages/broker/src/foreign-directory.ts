import { existsSync, readdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { VarveError } from '@varve/records'
import { metadataLogName } from './metadata/metadata-log.js'

/**
 * Refuses a data directory that a broker has used whose topics we know nothing of: one of Apache Kafka, or one whose
 * metadata log was removed. Every partition in it would look like a stray and be put aside.
 *
 * @throws VarveError `VARVE_FOREIGN_DIRECTORY`
 */
export async function refuseForeignDirectory(dir: string): Promise<void> {
  // Whatever is wrong with the directory, opening it says so in better words.
  const names = await readdir(dir).catch((): string[] => [])
  if (!names.includes('meta.properties') || names.includes(metadataLogName)) return
  const partitions = names.filter((name) => /-\d+$/.test(name))
  if (partitions.length === 0) return
  throw new VarveError(
    'VARVE_FOREIGN_DIRECTORY',
    `${dir} holds ${partitions.length} partitions, ${partitions[0]} for one, but not the log ${metadataLogName} that would ` +
      `name their topics; it is another broker's, or that log was removed. Put it back, or use another directory`,
  )
}

/** The brokers whose own directories, `broker-<id>`, lie in this one, by their ids: no partition has a `meta.properties`. */
export function brokersIn(dir: string): number[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .flatMap((name) => /^broker-(0|[1-9]\d*)$/.exec(name)?.[1] ?? [])
    .filter((id) => existsSync(join(dir, `broker-${id}`, 'meta.properties')))
    .map(Number)
    .sort((a, b) => a - b)
}

/**
 * Refuses a directory in which several brokers have directories of their own: one broker would take these for partitions.
 *
 * @throws VarveError `VARVE_FOREIGN_DIRECTORY`
 */
export function refuseDirectoryOfSeveral(dir: string): void {
  const ids = brokersIn(dir)
  if (ids.length === 0) return
  throw new VarveError(
    'VARVE_FOREIGN_DIRECTORY',
    `${dir} is that of several brokers, whose own directories are in it: ${ids.map((id) => `broker-${id}`).join(', ')}; ` +
      'start all of them as they were started before, or use another directory',
  )
}
