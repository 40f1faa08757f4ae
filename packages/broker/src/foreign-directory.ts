import { readdir } from 'node:fs/promises'
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
