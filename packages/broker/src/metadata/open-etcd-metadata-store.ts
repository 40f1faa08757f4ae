import type { EtcdMetadataStoreOptions } from './etcd-metadata-store.js'
import type { MetadataStore } from './metadata-store.js'

/**
 * Opens the store that brokers of a cluster share: in etcd 3.4 or later, by its JSON gateway, which every etcd has unless it is turned off.
 * It connects when it is asked for something first, to whichever endpoint answers.
 *
 * @throws VarveError `VARVE_INVALID_OPTION` for certificates that are none
 */
export async function openEtcdMetadataStore(options: EtcdMetadataStoreOptions): Promise<MetadataStore> {
  // What that takes is loaded by those who have an etcd.
  const { EtcdMetadataStore } = await import('./etcd-metadata-store.js')
  return new EtcdMetadataStore(options)
}
