import { readdir } from 'node:fs/promises'
import type { DataDirectory, Durability, Log } from '@varve/log'
import { type RecordInput, VarveError } from '@varve/records'
import type { MetadataEntry, MetadataPut } from '@varve/replication'
import { messageOf } from '../broker-log.js'

/** The directory of the metadata log inside the data directory. */
export const metadataLogName = '__varve_metadata-0'

/** The header that names the lease with which a key was put. */
const leaseHeader = 'lease'

/** A metadata log, and what it has come to. */
export interface MetadataLog {
  readonly log: Log
  readonly entries: Map<string, MetadataEntry>
  readonly revision: number
}

/** @throws VarveError `VARVE_METADATA_CORRUPT` when the log cannot be replayed to its end */
export async function openMetadataLog(
  directory: DataDirectory,
  durability: Durability,
): Promise<MetadataLog> {
  const path = `${directory.dir}/${metadataLogName}`
  let log: Log
  try {
    log = await directory.openLog(metadataLogName, { durability, gather: 'microtask' })
  } catch (error) {
    throw isCorruption(error) ? corrupt(path, error) : error
  }
  try {
    return { log, ...(await replay(log)) }
  } catch (error) {
    await log.close().catch(() => {})
    throw corrupt(path, error)
  }
}

/** A record's key is the metadata key, its value the new value, or null for a key that is deleted. */
export function recordOf(key: string, put: MetadataPut | null): RecordInput {
  if (put?.lease === undefined) return { key, value: put?.value ?? null }
  return { key, value: put.value, headers: { [leaseHeader]: put.lease } }
}

/** What a log has come to. Rejects where that cannot be told to its end. */
async function replay(log: Log): Promise<Omit<MetadataLog, 'log'>> {
  if (log.state === 'corrupt') throw log.failure ?? new Error('the log is damaged')
  // Recovery keeps aside whole batches that follow a bad one. One transaction is written after the other, so here
  // that never is the trace of a crash, and those batches were acknowledged.
  const cut = (await readdir(log.dir)).find((name) => name.endsWith('.cut'))
  if (cut !== undefined)
    throw new Error(`recovery cut whole transactions off, which are in ${log.dir}/${cut}`)
  const entries = new Map<string, MetadataEntry>()
  let revision = 0
  let nextOffset = log.startOffset
  for await (const batch of log.readBatches()) {
    if (!batch.verifyCrc()) throw new Error(`the batch at offset ${batch.baseOffset} has a wrong CRC`)
    revision = batch.baseOffset + 1
    nextOffset = batch.nextOffset
    for (const { key, value, headers, offset } of batch.records()) {
      if (key === null) throw new Error(`the record at offset ${offset} has no key`)
      const name = key.toString('utf8')
      if (value === null) {
        entries.delete(name)
        continue
      }
      const lease = headers.find(([header]) => header === leaseHeader)?.[1]?.toString('utf8')
      const entry = { key: name, value: value.toString('utf8'), revision }
      entries.set(name, lease === undefined ? entry : { ...entry, lease })
    }
  }
  if (nextOffset !== log.endOffset) throw new Error(`it can be read up to offset ${nextOffset} only`)
  return { entries, revision }
}

function isCorruption(error: unknown): boolean {
  return VarveError.is(error) && (error.code === 'VARVE_LOG_CORRUPT' || error.code.startsWith('VARVE_BATCH_'))
}

function corrupt(path: string, cause: unknown): VarveError {
  return new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata log ${path} is damaged: ${messageOf(cause)}. The broker does not start, because it would no longer know ` +
      `its topics; restore this directory from a copy, or move the whole data directory away to begin anew`,
    { cause },
  )
}
