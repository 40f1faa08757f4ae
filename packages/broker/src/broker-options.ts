import { resolve } from 'node:path'
import type { Durability } from '@varve/log'
import { VarveError } from '@varve/records'
import { type BrokerLog, silentLog } from './broker-log.js'
import { type Clock, systemClock } from './clock.js'
import { type ClusterOptions, type ResolvedCluster, resolveCluster } from './cluster-options.js'
import { type GroupOptions, resolveGroupOptions } from './groups/group-options.js'
import { checkGiven, type GivenConfigs, withGiven } from './configs/static-configs.js'
import type { ConfigValues } from './configs/stored-configs.js'
import { parseOverrides } from './connection-limits.js'
import { isWildcard, type ListenerAddress, parseListeners } from './listener-address.js'
import { parseProtocolMap, type ProtocolMap, protocolOf, type SecurityProtocol } from './security-protocol.js'
import type { SslOptions } from './ssl-options.js'
import { type CheckedTopic, checkStartTopics, type StartTopicsOption } from './testing/start-topics.js'
import { mostPartitions } from './topic.js'

export interface BrokerOptions {
  /**
   * The data directory, created if it is not there, or several, over which partitions are spread: Kafka's `log.dirs`. Without
   * it the broker lives in a temporary directory that `close()` removes.
   */
  data?: string | readonly string[]
  /** Short for one listener; not together with `listeners`. Default `127.0.0.1`. */
  host?: string
  /** Default 0, any free port. */
  port?: number
  /**
   * Kafka's `listeners`: `PLAINTEXT://127.0.0.1:9092`, several separated by commas or as an array, names all different. One
   * called `SSL`, or that `listenerSecurityProtocolMap` maps to it, speaks TLS.
   */
  listeners?: string | readonly string[]
  /** Kafka's `advertised.listeners`: what Metadata answers to clients of the listener of the same name. */
  advertisedListeners?: string | readonly string[]
  /**
   * Kafka's `listener.security.protocol.map`, such as `INSIDE:PLAINTEXT,OUTSIDE:SSL`: needed where a listener is not called
   * after its protocol. With it every listener must have a protocol; without it unknown names are plaintext.
   */
  listenerSecurityProtocolMap?: ProtocolMap
  /** Certificate and key of the SSL listeners, which need them. */
  ssl?: SslOptions
  /** When an append is acknowledged. Default `'fsync'` with `data`, `'os'` in a temporary directory and in a cluster. */
  durability?: Durability
  /** Kafka's cluster id. Default: the data directory's, a random one in a new directory. */
  clusterId?: string
  /** Kafka's node id. Default: the data directory's, 0 in a new directory. */
  nodeId?: number
  /**
   * Makes the broker one of a cluster, with a `nodeId` that no other has: the URL of the etcd that all of them share, or more than
   * that. Default: it is alone.
   */
  cluster?: string | ClusterOptions
  /** Where the broker stands: Kafka's `broker.rack`, which clients are told. Default nowhere in particular. */
  rack?: string
  /** Whether asking for the metadata of an unknown topic creates it. Default true. */
  autoCreateTopics?: boolean
  /** Partitions of topics that are created without a number. Default 1. */
  defaultPartitions?: number
  /** The largest request, in bytes: Kafka's `socket.request.max.bytes`. Default 100 MiB. */
  maxRequestBytes?: number
  /** The largest record batch, in bytes: Kafka's `message.max.bytes`. Default 1,048,588. */
  maxBatchBytes?: number
  /** What all connections together may hold, in bytes: requests and responses on their way. Default 256 MiB. */
  requestMemoryBytes?: number
  /**
   * Further connections are refused: Kafka's `max.connections`. Default half of the files that the process may have open; the
   * logs may have the others.
   */
  maxConnections?: number
  /** Further connections from the same address are refused: Kafka's `max.connections.per.ip`. Default no limit. */
  maxConnectionsPerIp?: number
  /** Addresses with another limit: Kafka's `max.connections.per.ip.overrides`, such as `127.0.0.1:200`. */
  maxConnectionsPerIpOverrides?: string | Readonly<Record<string, number>>
  /**
   * Incremental fetch sessions: Kafka's `max.incremental.fetch.session.cache.slots`. Consumers beyond these send, and are
   * answered, all their partitions each time. Default 1000.
   */
  maxFetchSessions?: number
  /**
   * A partition forgets an idempotent producer that has written nothing to it for so many ms: Kafka's
   * `producer.id.expiration.ms`. Default one day.
   */
  producerIdExpirationMs?: number
  /**
   * Appends are refused with KAFKA_STORAGE_ERROR while a data directory's disk has fewer bytes free, so that there is room
   * left to roll, checkpoint and delete; what is stored can be read. Default 0.
   */
  lowDiskBytes?: number
  /** How long requests that have been received get to finish when the broker closes, in ms. Default 5000. */
  closeTimeoutMs?: number
  /** How consumer groups are coordinated. */
  groups?: GroupOptions
  /**
   * Kafka's configurations of a broker, as in its `server.properties`: `{ 'log.retention.hours': 24 }`. Those that act here
   * are listed in docs/configuration.md; any other is refused. What may be altered later, by AlterConfigs, counts above
   * these.
   */
  configs?: GivenConfigs
  /**
   * Where `/metrics` (Prometheus) and `/healthz` are answered over HTTP: `port`, 0 for any free one, on `host`, by default
   * 127.0.0.1. Default: nowhere, and nothing is measured.
   */
  admin?: { port: number; host?: string }
  /**
   * Topics that are created when the broker starts, unless they are there: each a number of partitions, or its partitions,
   * configurations and first records. Clients may create others.
   */
  topics?: StartTopicsOption
  /** Default the machine's. A `ManualClock` is turned by a test. */
  clock?: Clock
  /** Takes the broker's log lines. Default: none are kept. */
  log?: BrokerLog
}

/** The options with their defaults, checked. */
export interface ResolvedOptions {
  readonly data: readonly string[] | null
  readonly listeners: readonly ListenerAddress[]
  readonly advertised: ReadonlyMap<string, ListenerAddress>
  readonly ssl: SslOptions | null
  readonly protocolOf: (listener: string) => SecurityProtocol
  readonly durability: Durability
  readonly clusterId: string | undefined
  readonly nodeId: number | undefined
  readonly cluster: ResolvedCluster | null
  readonly rack: string | null
  readonly autoCreateTopics: boolean
  readonly defaultPartitions: number
  readonly maxRequestBytes: number
  readonly maxBatchBytes: number
  readonly requestMemoryBytes: number
  readonly maxConnections: number
  readonly maxConnectionsPerIp: number
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>
  readonly maxFetchSessions: number
  readonly producerIdExpirationMs: number
  readonly lowDiskBytes: number
  readonly closeTimeoutMs: number
  readonly groups: Required<GroupOptions>
  /** Configurations that were given as such, checked. */
  readonly configs: ConfigValues
  readonly topics: readonly CheckedTopic[]
  readonly admin: { readonly port: number; readonly host: string } | null
  readonly clock: Clock
  readonly log: BrokerLog
}

/** @throws VarveError `VARVE_INVALID_OPTION` or `VARVE_INVALID_LISTENER` */
export function resolveOptions(given: BrokerOptions): ResolvedOptions {
  const configs = checkGiven(given.configs ?? {}, given.cluster !== undefined)
  const options = withGiven(given, configs)
  const data = options.data === undefined ? null : resolveData(options.data)
  // Where others have copies, the page cache of each is enough, as in Kafka.
  const { durability = data === null || options.cluster !== undefined ? 'os' : 'fsync' } = options
  if (durability !== 'os' && durability !== 'fsync') {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      `durability must be 'os' or 'fsync', not ${JSON.stringify(durability)}`,
    )
  }
  const listeners = resolveListeners(options)
  const advertised = resolveAdvertised(options, listeners)
  if (options.cluster !== undefined && Object.keys(options.topics ?? {}).length > 0) {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      'topics are those of a broker that is alone; create topics of a cluster as a client does, or start all of it by startCluster',
    )
  }
  const defaultPartitions = integer(options, 'defaultPartitions', 1, 1, mostPartitions)
  return {
    data,
    listeners,
    advertised,
    ...resolveSecurity(options, listeners),
    durability,
    clusterId: options.clusterId,
    nodeId: options.nodeId === undefined ? undefined : integer(options, 'nodeId', 0, 0, 2 ** 31 - 1),
    cluster: options.cluster === undefined ? null : resolveCluster(options.cluster, listeners, advertised),
    rack: options.rack ?? null,
    autoCreateTopics: options.autoCreateTopics ?? true,
    defaultPartitions,
    maxRequestBytes: integer(options, 'maxRequestBytes', 100 * 1024 * 1024, 1024, 2 ** 31 - 1),
    maxBatchBytes: integer(options, 'maxBatchBytes', 1024 * 1024 + 12, 61, 2 ** 31 - 1),
    requestMemoryBytes: integer(
      options,
      'requestMemoryBytes',
      256 * 1024 * 1024,
      1024 * 1024,
      Number.MAX_SAFE_INTEGER,
    ),
    maxConnections: integer(options, 'maxConnections', 2 ** 31 - 1, 1, 2 ** 31 - 1),
    maxConnectionsPerIp: integer(options, 'maxConnectionsPerIp', 2 ** 31 - 1, 0, 2 ** 31 - 1),
    maxConnectionsPerIpOverrides: parseOverrides(options.maxConnectionsPerIpOverrides),
    maxFetchSessions: integer(options, 'maxFetchSessions', 1000, 0, 1_000_000),
    producerIdExpirationMs: integer(options, 'producerIdExpirationMs', 86_400_000, 1, 2 ** 31 - 1),
    lowDiskBytes: integer(options, 'lowDiskBytes', 0, 0, Number.MAX_SAFE_INTEGER),
    closeTimeoutMs: integer(options, 'closeTimeoutMs', 5_000, 0, 2 ** 31 - 1),
    groups: resolveGroupOptions(options.groups),
    configs,
    topics: checkStartTopics(options.topics ?? {}, defaultPartitions),
    admin: options.admin === undefined ? null : resolveAdmin(options.admin),
    clock: options.clock ?? systemClock,
    log: options.log ?? silentLog,
  }
}

function resolveAdmin({ port, host = '127.0.0.1' }: { port: number; host?: string }) {
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return { port, host }
  throw new VarveError('VARVE_INVALID_OPTION', `admin.port must be an integer from 0 to 65535, not ${port}`)
}

function resolveData(data: string | readonly string[]): readonly string[] {
  const paths = (typeof data === 'string' ? [data] : [...data]).map((path) => path && resolve(path))
  if (paths.length === 0 || paths.includes('')) {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      'data must name a directory, or several; leave it out for a temporary one',
    )
  }
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) {
    throw new VarveError('VARVE_INVALID_OPTION', `data names the directory ${twice} twice`)
  }
  return paths
}

function resolveListeners(options: BrokerOptions): ListenerAddress[] {
  if (options.listeners === undefined) {
    return [
      { name: 'PLAINTEXT', host: options.host ?? '127.0.0.1', port: integer(options, 'port', 0, 0, 65535) },
    ]
  }
  if (options.host !== undefined || options.port !== undefined) {
    throw new VarveError('VARVE_INVALID_OPTION', 'give either listeners or host and port, not both')
  }
  const listeners = parseListeners('listeners', options.listeners)
  if (listeners.length === 0) throw new VarveError('VARVE_INVALID_LISTENER', 'listeners names no listener')
  return listeners
}

function resolveAdvertised(
  options: BrokerOptions,
  listeners: readonly ListenerAddress[],
): ReadonlyMap<string, ListenerAddress> {
  const advertised = parseListeners('advertisedListeners', options.advertisedListeners ?? [])
  for (const { name, host } of advertised) {
    if (!listeners.some((listener) => listener.name === name)) {
      throw new VarveError('VARVE_INVALID_LISTENER', `advertisedListeners: no listener is called ${name}`)
    }
    if (host !== '' && isWildcard(host)) {
      throw new VarveError(
        'VARVE_INVALID_LISTENER',
        `advertisedListeners: no client can connect to ${host}; advertise a name or address of this machine`,
      )
    }
  }
  return new Map(advertised.map((address) => [address.name, address]))
}

function resolveSecurity(
  options: BrokerOptions,
  listeners: readonly ListenerAddress[],
): Pick<ResolvedOptions, 'ssl' | 'protocolOf'> {
  const map = parseProtocolMap(options.listenerSecurityProtocolMap)
  const protocols = new Map(listeners.map(({ name }) => [name, protocolOf(name, map)]))
  const [secure] = [...protocols].find(([, protocol]) => protocol === 'SSL') ?? []
  if (secure !== undefined && options.ssl === undefined) {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      `the listener ${secure} speaks TLS and needs a certificate; give ssl: { cert, key }`,
    )
  }
  return { ssl: options.ssl ?? null, protocolOf: (name) => protocols.get(name)! }
}

type NumericOption = {
  [K in keyof BrokerOptions]-?: NonNullable<BrokerOptions[K]> extends number ? K : never
}[keyof BrokerOptions]

function integer(
  options: BrokerOptions,
  name: NumericOption,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = options[name] ?? fallback
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new VarveError(
    'VARVE_INVALID_OPTION',
    `${name} must be an integer from ${least} to ${most}, not ${value}`,
  )
}
