import { onTestFinished } from 'vitest'
import { EtcdMetadataStore, type EtcdMetadataStoreOptions } from '../../src/metadata/etcd-metadata-store.js'
import { parseEtcdUrl, type EtcdUrlOptions } from '../../src/metadata/etcd-url.js'

/** A store in an etcd, and the lines that it has logged. */
export interface OpenedStore {
  readonly store: EtcdMetadataStore
  readonly lines: string[]
}

// What does not ask how long somebody waits does not fail on a machine that is busy.
const patient = { connectTimeoutMs: 10_000, requestTimeoutMs: 10_000 }

/** Opens a store that is closed at the end of the test, and waits for its etcd for long unless it is told otherwise. */
export function openStore(
  url: string,
  { urlOptions, ...options }: Partial<EtcdMetadataStoreOptions> & { urlOptions?: EtcdUrlOptions } = {},
): OpenedStore {
  const lines: string[] = []
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`)
  const store = new EtcdMetadataStore({ ...parseEtcdUrl(url, urlOptions), ...patient, log, ...options })
  onTestFinished(() => store.close())
  return { store, lines }
}

/** Retries what etcd does not answer, or answers with an outcome that nobody knows, until it is done. */
export async function persistently<T>(work: () => Promise<T>): Promise<T> {
  const until = Date.now() + 40_000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (Date.now() > until) throw error
    }
  }
}
