import { mkdir } from 'node:fs/promises'
import { openDataDirectory } from '@varve/log'
import type { BrokerLog } from '../broker-log.js'
import { LocalMetadataStore } from './local-metadata-store.js'
import type { MetadataStore } from './metadata-store.js'

export interface LocalMetadataStoreDirectory {
  /** Nothing is ever flushed: for a directory that nobody needs when the machine has crashed. Default false. */
  volatile?: boolean
  /** Takes the store's log lines. Default: none are kept. */
  log?: BrokerLog
}

/**
 * Opens a metadata store for brokers of one process, in a directory that holds nothing else and is made if it is not there. What was
 * put with a lease is gone when it is opened next. Closing it closes the directory.
 *
 * @throws VarveError `VARVE_METADATA_CORRUPT`, and as `openDataDirectory`: `VARVE_LOCKED` where another process has it
 * @example
 * ```ts
 * import { openLocalMetadataStore, startBroker } from '@varve/broker'
 *
 * const store = await openLocalMetadataStore('./data/metadata')
 * const broker = await startBroker({ nodeId: 1, data: './data/broker-1', cluster: { openStore: async () => store } })
 * await broker.close() // and with it the store
 * ```
 */
export async function openLocalMetadataStore(
  path: string,
  { volatile = false, log }: LocalMetadataStoreDirectory = {},
): Promise<MetadataStore> {
  await mkdir(path, { recursive: true })
  const directory = await openDataDirectory(path, { volatile })
  try {
    return await LocalMetadataStore.open(directory, {
      durability: volatile ? 'os' : 'fsync',
      ownsDirectory: true,
      ...(log !== undefined && { log }),
    })
  } catch (error) {
    await directory.close().catch(() => {})
    throw error
  }
}
