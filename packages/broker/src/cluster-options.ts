import { VarveError } from '@varve/records'
import { type BrokerLog, messageOf } from './broker-log.js'
import type { Clock } from './clock.js'
import { formatAddress, isWildcard, type ListenerAddress } from './listener-address.js'
import { type EtcdConnection, type EtcdTls, parseEtcdUrl } from './metadata/etcd-url.js'
import type { MetadataStore } from './metadata/metadata-store.js'
import { type Pem, pemContent } from './pem.js'

/** How a broker is one of a cluster. */
export interface ClusterOptions {
  /**
   * The etcd that all brokers of the cluster share: `etcd://[user[:password]@]host:port[,host:port…][/prefix]`, or `etcds://…` for
   * TLS. Each cluster needs a prefix of its own.
   */
  url?: string
  /** What the URL does not say, or had better not. */
  etcd?: EtcdOptions
  /** Opens another metadata store that all brokers of the cluster share, instead of `url`. The broker closes it. */
  openStore?(environment: StoreEnvironment): Promise<MetadataStore>
  /**
   * How long a broker that is not heard of counts as alive, in whole seconds: Kafka's `broker.session.timeout.ms`. Default 9.
   */
  sessionTimeoutSeconds?: number
  /** The listener by which brokers reach each other: Kafka's `inter.broker.listener.name`. Default: the first. */
  interBrokerListenerName?: string
  /** Kafka's `replica.lag.time.max.ms`. Default 30,000. */
  replicaLagTimeMaxMs?: number
}

/** How an etcd is spoken to, beside its URL. */
export interface EtcdOptions {
  /** Who speaks to an etcd whose authentication is enabled. */
  user?: string
  password?: string
  /** Who signs the certificates of etcd's members. Default: the authorities of Node. */
  ca?: Pem
  /** The certificate for an etcd with `--client-cert-auth`. Files are read when the broker starts, and by `broker.reloadCertificates()`. */
  cert?: Pem
  /** Its private key. */
  key?: Pem
  /** The name that the members' certificates have to be for. Default: the host of each endpoint. */
  serverName?: string
}

/** What a metadata store is opened with. */
export interface StoreEnvironment {
  readonly clock: Clock
  readonly log: BrokerLog
}

/** The options of a cluster with their defaults, checked. */
export interface ResolvedCluster {
  readonly openStore: (environment: StoreEnvironment) => Promise<MetadataStore>
  /** Where the store is, without what nobody needs to know; null for one that the caller opens. */
  readonly store: string | null
  readonly sessionTimeoutSeconds: number
  readonly interBrokerListenerName: string
  readonly replicaLagTimeMaxMs: number
}

/**
 * @param given the options, or the URL of an etcd alone
 * @param advertised the hosts that others are told to connect to, where they differ from those of the listeners
 * @throws VarveError `VARVE_INVALID_OPTION` or `VARVE_INVALID_LISTENER`
 */
export function resolveCluster(
  given: string | ClusterOptions,
  listeners: readonly ListenerAddress[],
  advertised: ReadonlyMap<string, ListenerAddress>,
): ResolvedCluster {
  const options: ClusterOptions = typeof given === 'string' ? { url: given } : given
  const {
    sessionTimeoutSeconds = 9,
    interBrokerListenerName = listeners[0]!.name,
    replicaLagTimeMaxMs = 30_000,
  } = options
  wholeNumber('sessionTimeoutSeconds', sessionTimeoutSeconds, 86_400)
  wholeNumber('replicaLagTimeMaxMs', replicaLagTimeMaxMs, 2 ** 31 - 1)
  const between = interBrokerListenerName.toUpperCase()
  if (!listeners.some(({ name }) => name === between)) {
    throw new VarveError(
      'VARVE_INVALID_LISTENER',
      `no listener is called ${interBrokerListenerName}, by which brokers are to reach each other; there are ${listeners
        .map(({ name }) => name)
        .join(', ')}`,
    )
  }
  for (const { name, host, port } of listeners) {
    if (!isWildcard(advertised.get(name)?.host || host)) continue
    throw new VarveError(
      'VARVE_INVALID_LISTENER',
      `the listener ${name} is on all interfaces, so in a cluster it has to advertise a host that clients and the other ` +
        `brokers can connect to: advertised listeners such as ${name}://broker1.example:${port}`,
    )
  }
  return {
    ...resolveStore(options),
    sessionTimeoutSeconds,
    interBrokerListenerName: between,
    replicaLagTimeMaxMs,
  }
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
export function resolveStore({
  url,
  etcd,
  openStore,
}: ClusterOptions): Pick<ResolvedCluster, 'openStore' | 'store'> {
  if ((url === undefined) === (openStore === undefined))
    throw invalid('cluster needs either the url of an etcd, or openStore')
  if (openStore !== undefined) {
    if (etcd !== undefined) throw invalid('cluster: what etcd says goes with a url, not with openStore')
    return { openStore, store: null }
  }
  const { cert, key, ca, ...rest } = etcd ?? {}
  // Looked at now, so that nothing begins with a URL that is none; what is to be read may be anything yet.
  const connection = parseEtcdUrl(url!, { ...given({ cert, key, ca }), ...rest })
  return {
    store: shown(connection),
    openStore: async (environment) => {
      const readTls = async (): Promise<EtcdTls> => ({
        ...connection.tls,
        ...(await readAll({ cert, key, ca })),
      })
      const tls = connection.tls === null ? null : await readTls()
      const { openEtcdMetadataStore } = await import('./metadata/open-etcd-metadata-store.js')
      return await openEtcdMetadataStore({ ...connection, tls, readTls, ...environment })
    },
  }
}

async function readAll(
  parts: Readonly<Record<string, Pem | undefined>>,
): Promise<Record<string, string | Buffer>> {
  const read: Record<string, string | Buffer> = {}
  for (const [name, part] of Object.entries(parts)) {
    if (part === undefined) continue
    try {
      read[name] = await pemContent(part)
    } catch (error) {
      throw invalid(`cannot read the ${name} for etcd from ${String(part)}: ${messageOf(error)}`, error)
    }
  }
  return read
}

/** Without user and password. */
function shown({ endpoints, keyPrefix, tls }: EtcdConnection): string {
  const hosts = endpoints.map(({ host, port }) => formatAddress(host, port)).join(',')
  return `${tls === null ? 'etcd' : 'etcds'}://${hosts}${keyPrefix}`
}

function given(parts: Readonly<Record<string, Pem | undefined>>): Record<string, Pem> {
  return Object.fromEntries(
    Object.entries(parts).filter((part): part is [string, Pem] => part[1] !== undefined),
  )
}

function wholeNumber(name: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return
  throw invalid(`cluster.${name} must be an integer from 1 to ${most}, not ${value}`)
}

function invalid(message: string, cause?: unknown): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', message, { cause })
}
