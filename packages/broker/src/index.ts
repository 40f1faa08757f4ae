export type { BoundListener, Broker, BrokerCluster } from './broker.js'
export type { BrokerLog, LogFields, LogLevel } from './broker-log.js'
export type { BrokerOptions } from './broker-options.js'
export type { ClusterOptions, EtcdOptions, StoreEnvironment } from './cluster-options.js'
export {
  type ImportedBroker,
  importIntoCluster,
  type ImportIntoClusterOptions,
} from './cluster/import-into-cluster.js'
export { type DirectoriesOfSeveral, directoriesOfSeveral } from './directories-of-several.js'
export type { GroupOptions } from './groups/group-options.js'
export { type Clock, systemClock, type Timer } from './clock.js'
export { renderConfigurationPage } from './configs/configuration-page.js'
export type { GivenConfigs } from './configs/static-configs.js'
export type { EtcdMetadataStoreOptions } from './metadata/etcd-metadata-store.js'
export {
  type EtcdConnection,
  type EtcdEndpoint,
  type EtcdTls,
  type EtcdUrlOptions,
  type EtcdUser,
  parseEtcdUrl,
} from './metadata/etcd-url.js'
export { metadataStoreThrough, serveMetadataStore } from './metadata/metadata-port.js'
export {
  type MetadataFollower,
  type MetadataFollowing,
  type MetadataListing,
  type MetadataStore,
  type MetadataTransactionResult,
  wasNotApplied,
} from './metadata/metadata-store.js'
export { openEtcdMetadataStore } from './metadata/open-etcd-metadata-store.js'
export {
  type LocalMetadataStoreDirectory,
  openLocalMetadataStore,
} from './metadata/open-local-metadata-store.js'
export { openFilesLimit } from './open-files.js'
export type { ProtocolMap, SecurityProtocol } from './security-protocol.js'
export type { Pem } from './pem.js'
export type { SslOptions, TlsVersion } from './ssl-options.js'
export type { Fault, FaultInjection, FaultOptions } from './testing/faults.js'
export { ManualClock } from './testing/manual-clock.js'
export type { StartRecord, StartTopic, StartTopicsOption } from './testing/start-topics.js'
export type { RecordsExpected, StoredRecord, StoredRecordsOptions } from './testing/stored-records.js'
export type { WaitOptions } from './testing/waiting.js'
export { startBroker } from './start-broker.js'
export { type Cluster, startCluster, type StartClusterOptions } from './start-cluster.js'
export { renderSupportTable, type SupportedApi, supportedApis } from './supported-apis.js'
