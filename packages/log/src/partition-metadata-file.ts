import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writePartitionMetadata as writeNative } from '@varve/native'
import { VarveError } from '@varve/records'
import { unwrap } from './failure.js'

const FILE_NAME = 'partition.metadata'

/**
 * Reads the topic id out of a partition's `partition.metadata`, Kafka's two lines `version: 0` and
 * `topic_id: <base64url>`.
 *
 * @returns null where there is no such file
 * @throws VarveError `VARVE_PARTITION_METADATA` when the file is not of that form
 */
export async function readPartitionMetadata(dir: string): Promise<string | null> {
  const path = join(dir, FILE_NAME)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const match = /^version: 0\r?\ntopic_id: ([A-Za-z0-9_-]{22})\s*$/.exec(text)
  if (match === null) {
    throw new VarveError(
      'VARVE_PARTITION_METADATA',
      `${path} is not a partition.metadata of version 0; write back its two lines "version: 0" and "topic_id: <id>"`,
    )
  }
  return match[1]!
}

/**
 * Writes the file so that a crash leaves either none or a whole one; `durable` also survives a power loss.
 *
 * @param topicId 22 characters of base64url
 * @throws VarveError `VARVE_IO`, with the system's error as its cause
 * @example
 * ```ts
 * import { mkdirSync } from 'node:fs'
 * import { readPartitionMetadata, syncDirectory, writePartitionMetadata } from '@varve/log'
 *
 * mkdirSync('./orders-0')
 * await writePartitionMetadata('./orders-0', 'oTNsFzYNQ2eFPLgb5WZlRw', true)
 * await syncDirectory('.') // for the name of the new directory
 * console.log(await readPartitionMetadata('./orders-0'))
 * ```
 */
export async function writePartitionMetadata(dir: string, topicId: string, durable: boolean): Promise<void> {
  unwrap(await writeNative(dir, `version: 0\ntopic_id: ${topicId}\n`, durable))
}

/** Makes the names inside a directory survive a power loss. @throws the system's error when it cannot */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
