import type { BrokerLog, BrokerOptions, ClusterOptions, LogLevel, SslOptions } from '@varve/broker'
import type { ServeClusterOptions } from './serve-cluster.js'
import type { LogFormat } from './serve-log.js'
import type { KafkaConfigs } from './serve-sources.js'

/** What `varve serve` is told. */
export interface ServeOptions extends ServeClusterOptions {
  port: number
  host: string
  data: readonly string[]
  durability?: 'os' | 'fsync'
  listeners?: string
  advertisedListeners?: string
  listenerSecurityProtocolMap?: string
  sslCert?: string
  sslKey?: string
  sslPfx?: string
  sslKeyPassword?: string
  sslCa?: string
  sslClientAuth?: SslOptions['clientAuth']
  sslProtocols?: SslOptions['protocols']
  sslCiphers?: readonly string[]
  nodeId?: number
  brokers?: number
  rack?: string
  partitions: number
  autoCreate: boolean
  maxConnections?: number
  maxConnectionsPerIp?: number
  requestMemoryBytes?: number
  lowDiskBytes: number
  closeTimeoutMs?: number
  adminPort?: number
  adminHost: string
  logFormat: LogFormat
  logLevel?: LogLevel
  config?: Readonly<Record<string, string>>
}

/** What TLS needs, where any part of it is given; the broker says what is missing. */
function sslOf(options: ServeOptions): SslOptions | undefined {
  const ssl: Record<keyof SslOptions, unknown> = {
    cert: options.sslCert,
    key: options.sslKey,
    pfx: options.sslPfx,
    passphrase: options.sslKeyPassword,
    ca: options.sslCa,
    clientAuth: options.sslClientAuth,
    protocols: options.sslProtocols,
    ciphers: options.sslCiphers,
  }
  const given = Object.entries(ssl).filter(([, value]) => value !== undefined)
  return given.length === 0 ? undefined : Object.fromEntries(given)
}

/** Kafka's default, which `startBroker` does not have: members of a test are all there, those of a deployment come one by one. */
const INITIAL_REBALANCE_DELAY_MS = 3_000

/** How a broker is started that `varve serve` was told of. */
export function brokerOptionsOf(
  options: ServeOptions,
  configs: KafkaConfigs,
  cluster: ClusterOptions | undefined,
  log: BrokerLog,
): BrokerOptions {
  return {
    data: options.data,
    ...(options.listeners === undefined
      ? { host: options.host, port: options.port }
      : { listeners: options.listeners }),
    advertisedListeners: options.advertisedListeners,
    listenerSecurityProtocolMap: options.listenerSecurityProtocolMap,
    ssl: sslOf(options),
    durability: options.durability,
    maxConnections: options.maxConnections,
    maxConnectionsPerIp: options.maxConnectionsPerIp,
    ...(options.adminPort !== undefined && {
      admin: { port: options.adminPort, host: options.adminHost },
    }),
    requestMemoryBytes: options.requestMemoryBytes,
    lowDiskBytes: options.lowDiskBytes,
    closeTimeoutMs: options.closeTimeoutMs,
    nodeId: options.nodeId,
    rack: options.rack,
    cluster,
    defaultPartitions: options.partitions,
    autoCreateTopics: options.autoCreate,
    ...(configs['group.initial.rebalance.delay.ms'] === undefined && {
      groups: { initialRebalanceDelayMs: INITIAL_REBALANCE_DELAY_MS },
    }),
    configs,
    log,
  }
}
