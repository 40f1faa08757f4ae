import { VarveError } from '@varve/records'
import type { Broker } from './broker.js'
import type { BrokerLog, LogFields, LogLevel } from './broker-log.js'
import type { BrokerOptions } from './broker-options.js'
import type { SslOptions } from './ssl-options.js'
import { LocalCluster } from './cluster/local-cluster.js'
import { type CheckedTopic, checkStartTopics, type StartTopicsOption } from './testing/start-topics.js'

/** What can be said of each broker is said of all of them. */
export interface StartClusterOptions extends Omit<
  BrokerOptions,
  'clock' | 'cluster' | 'clusterId' | 'data' | 'log' | 'nodeId' | 'rack' | 'topics'
> {
  /** How many brokers there are; their ids begin with 1. Default 3. */
  brokers?: number
  /** Where they stand, one after the other, and from the first again where there are more brokers than racks. Default nowhere. */
  racks?: readonly string[]
  /**
   * A directory for all of them, in which each has one of its own, to be found again by the next cluster with as many brokers. Without it
   * everything is in a temporary directory that `close()` removes, and nothing is ever flushed.
   */
  data?: string
  /** The first broker's port, the next ones' behind it, and so with `admin`. Default 0, any free ones. */
  port?: number
  /** Topics that are there from the start: each of their partitions is on three brokers, or on all where there are fewer. */
  topics?: StartTopicsOption
  /**
   * After how many seconds the others go on without a broker of which they hear nothing, which is not one that has ended: that
   * they notice at once. Default 9.
   */
  sessionTimeoutSeconds?: number
  /** The listener by which brokers reach each other. Default: the first. */
  interBrokerListenerName?: string
  /** Kafka's `replica.lag.time.max.ms`. Default 30,000. */
  replicaLagTimeMaxMs?: number
  /** Takes the log lines of all brokers. Default: none are kept. */
  log?(brokerId: number, level: LogLevel, message: string, fields?: LogFields): void
}

/** A cluster whose brokers run in this process. */
export interface Cluster {
  /** `host:port` of the brokers that run, in the order of their ids: what clients take as bootstrap servers. */
  readonly addresses: string[]
  /** The brokers that run, by id and in the order of their ids. */
  readonly brokers: ReadonlyMap<number, Broker>
  /** Kafka's cluster id. */
  readonly clusterId: string
  /**
   * Stops a broker in order: it hands over what it leads before it is gone.
   *
   * @throws VarveError `VARVE_INVALID_OPTION` when it does not run; as {@link Broker.close}
   */
  stop(brokerId: number): Promise<void>
  /**
   * Starts a broker that was stopped or has crashed, with its data and at its port, or one with a new id, which begins empty.
   *
   * @throws VarveError `VARVE_INVALID_OPTION` when it runs; as `startBroker`
   */
  start(brokerId: number): Promise<Broker>
  /**
   * Ends a broker as a kill of its process would: connections break in the middle of whatever they do, nothing is handed over, and
   * the others go on without it as soon as they notice. It comes back with everything that it had written. What a power loss
   * takes this does not take.
   *
   * @throws VarveError `VARVE_INVALID_OPTION` when it does not run
   */
  crash(brokerId: number): Promise<void>
  /** Stops all brokers, and removes the temporary directory. Further calls return the same promise. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a cluster of brokers in this process, for tests and for trying things out: they replicate each other's partitions as brokers on
 * machines of their own do, and tell each other of it over a metadata store in this process. When the promise resolves clients can
 * connect to any of them, and all know each other. It is no protection against anything that happens to the process or the machine.
 *
 * @throws VarveError as `startBroker`; nothing is left open then
 * @example
 * ```ts
 * import { Producer, startCluster } from 'varve'
 *
 * await using cluster = await startCluster({ topics: { orders: 6 } })
 * await using producer = new Producer({ brokers: cluster.addresses })
 * await producer.send('orders', { value: 'hello' })
 * await cluster.crash(1)
 * await producer.send('orders', { value: 'still there' })
 * await cluster.start(1)
 * ```
 */
export async function startCluster(options: StartClusterOptions = {}): Promise<Cluster> {
  const {
    brokers: count = 3,
    racks = [],
    data = null,
    port = 0,
    topics = {},
    sessionTimeoutSeconds,
    interBrokerListenerName,
    replicaLagTimeMaxMs,
    log,
    ...shared
  } = options
  if (!Number.isInteger(count) || count < 1 || count > 100)
    throw new VarveError('VARVE_INVALID_OPTION', `brokers must be an integer from 1 to 100, not ${count}`)
  const replicationFactor = Math.min(3, count)
  const wanted = checkStartTopics(topics, shared.defaultPartitions ?? 1)
  const logOf =
    (brokerId: number): BrokerLog =>
    (level, message, fields) =>
      log?.(brokerId, level, message, fields)
  const cluster = await LocalCluster.open({
    data,
    cluster: { sessionTimeoutSeconds, interBrokerListenerName, replicaLagTimeMaxMs },
    brokerOptions: (brokerId) => ({
      ...shared,
      ...(shared.listeners === undefined && { port: port === 0 ? 0 : port + brokerId - 1 }),
      ...(shared.admin !== undefined && {
        admin: { ...shared.admin, port: shared.admin.port === 0 ? 0 : shared.admin.port + brokerId - 1 },
      }),
      ...(racks.length > 0 && { rack: racks[(brokerId - 1) % racks.length]! }),
      configs: { 'default.replication.factor': replicationFactor, ...shared.configs },
      log: logOf(brokerId),
    }),
  })
  try {
    const ids = Array.from({ length: count }, (_, place) => place + 1)
    await Promise.all(ids.map((brokerId) => cluster.start(brokerId)))
    if (wanted.length > 0) {
      const { brokers } = cluster
      await createTopics({ brokers, ssl: shared.ssl }, wanted, replicationFactor)
    }
  } catch (error) {
    await cluster.close().catch(() => {})
    throw error
  }
  const { clusterId } = cluster.brokers.get(1)!
  let closed: Promise<void> | null = null
  return {
    get addresses() {
      return addressesOf(cluster)
    },
    get brokers() {
      return cluster.brokers
    },
    clusterId,
    stop: (brokerId) => cluster.stop(brokerId),
    start: (brokerId) => cluster.start(brokerId),
    crash: (brokerId) => cluster.crash(brokerId),
    close: () => (closed ??= cluster.close()),
    [Symbol.asyncDispose]: () => (closed ??= cluster.close()),
  }
}

function addressesOf({ brokers }: LocalCluster): string[] {
  return [...brokers.values()].map(({ address }) => address)
}

/** Creates those that are not there, with their records, as any client does. */
async function createTopics(
  { brokers, ssl }: { brokers: ReadonlyMap<number, Broker>; ssl: SslOptions | undefined },
  wanted: readonly CheckedTopic[],
  replicationFactor: number,
): Promise<void> {
  const [{ Admin }, { Producer }] = await Promise.all([
    import('@varve/client/admin'),
    import('@varve/client/producer'),
  ])
  const [first] = [...brokers.values()]
  const isSecure = first!.listeners[0]!.protocol === 'SSL'
  const tls = isSecure && (await (await import('./ssl-options.js')).readSsl(ssl!)).context
  const client = { brokers: [first!.address], tls }
  const admin = new Admin(client)
  const producer = new Producer(client)
  try {
    const there = new Set((await admin.listTopics()).map(({ name }) => name))
    const missing = wanted.filter(({ name }) => !there.has(name))
    if (missing.length === 0) return
    await admin.createTopics(
      missing.map(({ configs, name, partitions }) => ({
        name,
        partitions,
        replicationFactor,
        configs: Object.fromEntries(configs),
      })),
    )
    const sent = missing.flatMap(({ name, records }) =>
      [...records].flatMap(([partition, all]) =>
        all.map((record) => producer.send(name, { ...record, partition })),
      ),
    )
    await Promise.all(sent)
  } finally {
    await Promise.all([producer.close(), admin.close()])
  }
}
