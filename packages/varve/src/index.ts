/**
 * Everything of varve in one package: the log ({@link openLog}), the broker ({@link startBroker}), a cluster of
 * them ({@link startCluster}) and the clients ({@link Producer}, {@link Consumer}, {@link Admin}). The layers below, for those who build on them, are the namespaces
 * {@link records}, {@link partitioning}, {@link protocol} and {@link replication}.
 *
 * @packageDocumentation
 */
export {
  importIntoCluster,
  startBroker,
  startCluster,
  type Broker,
  type BrokerLog,
  type BrokerOptions,
  type Cluster,
  type ImportedBroker,
  type ImportIntoClusterOptions,
  type LogLevel,
  type StartClusterOptions,
} from '@varve/broker'
export * from '@varve/client'
export * from '@varve/log'
export * as partitioning from '@varve/partitioning'
export * as protocol from '@varve/protocol'
export * as records from '@varve/records'
export * as replication from '@varve/replication'
export { VarveError } from '@varve/records'
