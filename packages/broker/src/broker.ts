import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TlsOptions } from 'node:tls'
import type { Durability, openDataDirectory } from '@varve/log'
import { VarveError } from '@varve/records'
import { noBroker } from '@varve/replication'
import type { ResolvedOptions } from './broker-options.js'
import type { AdminServer } from './admin/admin-server.js'
import type { BrokerLog } from './broker-log.js'
import type { BrokerState } from './broker-state.js'
import { Cancellation } from './cancellation.js'
import { noValues } from './configs/stored-configs.js'
import type { CertificateRenewal } from './certificate-renewal.js'
import type { Clock } from './clock.js'
import { Connection } from './connection.js'
import { ConnectionLimits, limitsIn, type Release } from './connection-limits.js'
import { Connections } from './connections.js'
import { FetchSessions } from './fetch-sessions.js'
import { formatAddress } from './listener-address.js'
import { GroupCoordinator } from './groups/group-coordinator.js'
import { offsetsTopicName } from './groups/offsets-topic.js'
import { LowDisk } from './low-disk.js'
import { LimitedLog } from './limited-log.js'
import { checkBindable, Listener } from './listener.js'
import { openSingleBroker } from './single-broker.js'
import { OpeningProgress } from './opening-progress.js'
import { isAmongLastDescriptors, openFilesLimit } from './open-files.js'
import { Faults, type FaultInjection } from './testing/faults.js'
import { StartTopics } from './testing/start-topics.js'
import {
  type RecordsExpected,
  type StoredRecord,
  StoredRecords,
  type StoredRecordsOptions,
} from './testing/stored-records.js'
import type { WaitOptions } from './testing/waiting.js'
import { ProducerIds } from './producer-ids.js'
import { RequestMemory } from './request-memory.js'
import type { SecurityProtocol } from './security-protocol.js'
import type { SslOptions } from './ssl-options.js'
import { isStorageFailure, storageFailureText } from './storage-failure.js'
import type { TlsHandshakes } from './tls-handshakes.js'

/** Where all sockets of the process read small frames; one read is worked off before the next begins. */
const stagingBytes = 128 * 1024

/** Where a broker listens. */
export interface BoundListener {
  readonly name: string
  readonly protocol: SecurityProtocol
  readonly host: string
  readonly port: number
}

/** What a broker knows of the cluster that it is one of, as of when it is asked. */
export interface BrokerCluster {
  /** The URL of the etcd, without user and password; null for a store that the broker was given. */
  readonly store: string | null
  /** The brokers that are registered, this one among them, in the order of their ids. */
  readonly brokerIds: number[]
  /** The id of the controller; null while there is none. */
  readonly controllerId: number | null
}

/** A running broker. */
export interface Broker {
  /** `host:port` as advertised by the first listener: what a client takes as its bootstrap server. */
  readonly address: string
  /** The first listener's host. */
  readonly host: string
  /** The first listener's port, the real one where 0 was asked for. */
  readonly port: number
  /** All listeners, with their real ports. */
  readonly listeners: readonly BoundListener[]
  /** Where `/metrics` and `/healthz` are; null where nobody asked for them. */
  readonly admin: { readonly host: string; readonly port: number } | null
  /** The data directories, in the order in which they were given. */
  readonly dataDirectories: readonly string[]
  readonly durability: Durability
  readonly clusterId: string
  /** Kafka's node id. */
  readonly nodeId: number
  /** Where the broker stands; null where nobody has said. */
  readonly rack: string | null
  /** The cluster that it is one of; null for a broker that is alone. */
  readonly cluster: BrokerCluster | null
  /** One line for each partition that cannot be written, and why; the others are not affected. Made anew on each read. */
  readonly problems: string[]
  /** What goes wrong on purpose: errors, delays and dropped connections, by API. */
  readonly faults: FaultInjection
  /**
   * The records of a topic, partition by partition and in the order of their offsets.
   *
   * @throws VarveError `VARVE_UNKNOWN_TOPIC`, `VARVE_UNKNOWN_PARTITION`, `VARVE_BROKER_CLOSED`, `VARVE_LOG_CORRUPT`, `VARVE_IO`
   */
  records(topic: string, options?: StoredRecordsOptions): Promise<StoredRecord[]>
  /**
   * Waits until a topic, which need not exist yet, has as many records as are expected, or until they are what is expected,
   * and resolves with all of them as {@link Broker.records} does. It looks when something is appended, and does not poll.
   *
   * @throws VarveError `VARVE_WAIT_TIMEOUT`, whose message lists what is there instead; `VARVE_BROKER_CLOSED`, or as
   * {@link Broker.records}; the signal's reason
   */
  waitForRecords(
    topic: string,
    expected: RecordsExpected,
    options?: StoredRecordsOptions & WaitOptions,
  ): Promise<StoredRecord[]>
  /**
   * Reads the files of the option `ssl` again, for the connections that come from now on. The broker does so by itself within
   * ten seconds of a change of any of them. So are those by which it reaches its etcd, here alone. Without SSL listeners and an
   * etcd with TLS there is nothing to read.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`: certificate, key and authorities do not fit, or the certificate is not valid
   * now; what was in use stays
   */
  reloadCertificates(): Promise<void>
  /**
   * Goes back to how the broker began, so that one serves many tests: the topics of the option `topics` have their first
   * records again, from offset 0, their configurations and their ids; all other topics, groups and committed offsets, the
   * state of producers, altered configurations and faults are gone. Clients stay connected; members of groups join anew,
   * consumers without a group find their offsets out of range. The clock goes on, and producer ids are not given twice.
   *
   * @throws VarveError `VARVE_NOT_TEMPORARY` for a broker with a data directory of its own, which is not a test's to delete, and for
   * one of a cluster;
   * `VARVE_BROKER_CLOSED`; what kept a log from being emptied
   */
  reset(): Promise<void>
  /**
   * Stops accepting, answers what has been received (waiting fetches at once, all else within `closeTimeoutMs`), closes the logs and
   * removes a temporary directory. Further calls return the same promise.
   */
  close(): Promise<void>
  /**
   * Resolves when the broker is closed: with null where somebody has closed it; with the reason where it has closed itself,
   * `VARVE_BROKER_ID_TAKEN`, as a broker of a cluster does when another process has been registered with its id and its data.
   */
  readonly ended: Promise<VarveError | null>
  [Symbol.asyncDispose](): Promise<void>
}

/** A broker whose end others of the same process may see as that of a process. */
export interface OpenedBroker extends Broker {
  /**
   * Ends the broker as a kill of its process would: connections break, nothing is handed over, and what the metadata store has of it
   * stays until its lease has run out or somebody notices that nobody listens there. Its logs are closed then.
   */
  crash(): Promise<void>
}

/** What a broker stands on; tests put a double in its place. */
export interface BrokerDependencies {
  readonly openDataDirectory: typeof openDataDirectory
  readonly memory?: RequestMemory
  readonly openFilesLimit?: number
}

/** Everything that has to be closed, in the order in which it was opened. */
export type Closer = () => Promise<unknown>

/** Opens a broker; see `startBroker` for what it throws. On failure nothing is left open. */
export async function openBroker(
  options: ResolvedOptions,
  dependencies: BrokerDependencies,
): Promise<OpenedBroker> {
  const opened: Closer[] = []
  try {
    return await open(options, dependencies, opened)
  } catch (error) {
    for (const close of opened.reverse()) await close().catch(() => {})
    throw withRemedy(error, 'start it again')
  }
}

/** An error that says what its reader can do where the storage is at fault, as `storageFailureText` puts it. */
const withRemedy = (error: unknown, next?: string): unknown =>
  VarveError.is(error) && isStorageFailure(error)
    ? new VarveError(error.code, storageFailureText(error, next), { cause: error })
    : error

interface Tls {
  readonly handshakes: TlsHandshakes
  readonly renewal: CertificateRenewal
}

/** What TLS needs is loaded by those who use it. */
async function openTls(ssl: SslOptions, clock: Clock, log: BrokerLog): Promise<Tls> {
  const [{ CertificateRenewal: Renewal, firstIdentity }, { TlsHandshakes: Handshakes }] = await Promise.all([
    import('./certificate-renewal.js'),
    import('./tls-handshakes.js'),
  ])
  const { files, identity } = await firstIdentity(ssl)
  const handshakes = new Handshakes(identity.tls, clock)
  const use = (options: TlsOptions): void => handshakes.renew(options)
  return { handshakes, renewal: new Renewal({ ssl, identity, files, use, clock, log }) }
}

async function openAdmin(address: { host: string; port: number }, log: BrokerLog): Promise<AdminServer> {
  const { AdminServer: Server } = await import('./admin/admin-server.js')
  return await Server.open({ ...address, log })
}

async function open(
  options: ResolvedOptions,
  dependencies: BrokerDependencies,
  opened: Closer[],
): Promise<OpenedBroker> {
  const { clock, log, durability } = options
  const tls = options.ssl === null ? null : await openTls(options.ssl, clock.connections ?? clock, log)
  if (tls !== null) opened.push(async () => tls.renewal.close())
  await checkBindable(options.listeners)
  const admin = options.admin === null ? null : await openAdmin(options.admin, log)
  if (admin !== null) opened.push(() => admin.close())
  const temporary = options.data === null
  const paths = options.data ?? [await mkdtemp(join(tmpdir(), 'varve-'))]
  const removeTemporary = (): Promise<void> => rm(paths[0]!, { recursive: true, force: true })
  if (temporary) opened.push(removeTemporary)
  const connectionClock = clock.connections ?? clock
  const opening = new OpeningProgress(connectionClock, log)
  admin?.health.open(() => opening.logs)
  const openFoundation =
    options.cluster === null
      ? openSingleBroker
      : (await import('./cluster/cluster-broker.js')).openClusterBroker
  const { openDataDirectory } = dependencies
  const foundation = await openFoundation(
    {
      options,
      paths,
      temporary,
      openDataDirectory,
      opening,
      identity: () => tls?.renewal.identity.context ?? null,
    },
    opened,
  )
  const { directories, metadata, configs, topics, cluster } = foundation
  const directory = directories.first

  const closing = new Cancellation()
  const faults = new Faults(closing)
  const memory = dependencies.memory ?? new RequestMemory(options.requestMemoryBytes)
  const connections = new Connections(connectionClock)
  const filesLimit = dependencies.openFilesLimit ?? openFilesLimit()
  const limits = new ConnectionLimits(limitsIn(configs, filesLimit))
  configs.onChange(() => {
    limits.limits = limitsIn(configs, filesLimit)
  })
  const maxIdleMs = configs.number('connections.max.idle.ms')
  const { autoCreateTopics, defaultPartitions, maxRequestBytes } = options
  const limitedLog = new LimitedLog(log, connectionClock)
  opened.push(async () => limitedLog.close())
  const groups = new GroupCoordinator({
    topics,
    clock,
    log,
    limitedLog,
    options: options.groups,
    isSole: options.cluster === null,
    replicationFactor: () =>
      Math.min(configs.number('offsets.topic.replication.factor'), cluster.brokerIds().size),
  })
  topics.onRole((partition) => {
    if (partition.topic !== offsetsTopicName) return
    if (partition.leader !== null) groups.lead(partition, partition.leaderEpoch)
    else groups.resign(partition, partition.leaderEpoch)
  })
  opened.push(async () => groups.close())
  const lowDisk = new LowDisk(directories.paths, options.lowDiskBytes, log)
  const state: BrokerState = {
    lowDisk,
    observer: admin?.metrics ?? null,
    nodeId: directory.nodeId,
    clusterId: directory.clusterId,
    cluster,
    controller: foundation.controller,
    configs,
    directories,
    metadataRevision: async () => (await metadata.txn({})).revision,
    topics,
    producerIds: new ProducerIds(metadata),
    leaderQuota: foundation.leaderQuota,
    fetchSessions: new FetchSessions({ maxSessions: options.maxFetchSessions, clock }),
    groups,
    clock,
    connectionClock,
    log,
    limitedLog,
    faults,
    autoCreateTopics,
    defaultPartitions,
    closing,
  }
  const staging = Buffer.allocUnsafeSlow(stagingBytes)
  const admit = (socket: Socket): Release | string => {
    if (closing.cancelled) return 'the broker is closing'
    if (isAmongLastDescriptors(socket, filesLimit)) {
      return `of the ${filesLimit} files that this process may have open few are left; raise the limit (ulimit -n) and restart the broker`
    }
    return limits.admit(socket.remoteAddress ?? 'unknown')
  }
  const onSocket = (socket: Socket, listener: Listener, release: Release): void => {
    const connection = new Connection(socket, {
      broker: state,
      memory,
      staging,
      maxRequestBytes,
      maxIdleMs,
      endpointFor: (localAddress) => listener.endpointFor(localAddress),
      onClose: (closed) => {
        connections.delete(closed)
        release()
      },
    })
    connections.add(connection)
  }
  const startTopics = new StartTopics(options.topics, topics, clock)
  await startTopics.create()
  const unfollow = clock.follow?.(async (now) => {
    await directories.turnClockTo(now)
    await groups.settled()
  })
  opened.push(async () => unfollow?.())
  const listeners: Listener[] = []
  for (const address of options.listeners) {
    const advertised = options.advertised.get(address.name) ?? null
    const listener = await Listener.open({
      address,
      advertised,
      clock: connectionClock,
      log,
      tls: options.protocolOf(address.name) === 'SSL' ? (tls?.handshakes ?? null) : null,
      admit,
      onSocket,
    })
    opened.push(() => {
      closing.cancel()
      tls?.handshakes.close()
      void connections.drain(0)
      return listener.close()
    })
    listeners.push(listener)
  }
  await foundation.join(listeners.map((listener) => listener.endpointFor('')))

  const problems = (): string[] => [...topics.problems(), ...groups.problems()]
  admin?.metrics.measure({
    nodeId: directory.nodeId,
    cluster,
    topics,
    memory,
    connections,
    groups,
    fetchSessions: state.fetchSessions,
    certificate: tls?.renewal ?? null,
  })
  admin?.health.serve(async () => [
    ...foundation.problems(),
    ...problems(),
    ...(tls?.renewal.problems() ?? []),
    ...(await lowDisk.problems()),
  ])

  const close = async (isCrash = false): Promise<void> => {
    admin?.health.drain()
    if (isCrash) foundation.vanish()
    else await foundation.leave(options.closeTimeoutMs)
    const closed = Promise.all(listeners.map((listener) => listener.close()))
    if (isCrash) connections.breakOff()
    closing.cancel()
    unfollow?.()
    groups.close()
    tls?.renewal.close()
    tls?.handshakes.close()
    const unanswered = await connections.drain(options.closeTimeoutMs)
    if (unanswered > 0) {
      log(
        'warn',
        `ended ${unanswered} connections whose requests were not answered within ${options.closeTimeoutMs} ms`,
      )
    }
    await closed
    limitedLog.close()
    // One failure, a disk that is full perhaps, must not keep the rest from being closed.
    const failures: unknown[] = []
    const rest: Closer[] = [() => topics.detach(), () => metadata.close(), () => directories.close()]
    if (temporary) rest.push(removeTemporary)
    // Last, so that it tells of the draining as long as that takes.
    if (admin !== null) rest.push(() => admin.close())
    for (const step of rest) await step().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) {
      log(
        'error',
        `the broker did not close cleanly: ${failures.map((failure) => storageFailureText(failure)).join('; ')}`,
      )
      throw withRemedy(failures[0])
    }
  }
  const storedRecords = new StoredRecords(topics, closing)
  let resetting: Promise<void> = Promise.resolve()
  const reset = async (): Promise<void> => {
    if (closing.cancelled)
      throw new VarveError('VARVE_BROKER_CLOSED', 'the broker is closed; start another one')
    if (!temporary || options.cluster !== null) {
      throw new VarveError(
        'VARVE_NOT_TEMPORARY',
        options.cluster === null
          ? `a reset would delete what is in ${directories.paths.join(' and ')}; start the broker without data for a temporary directory`
          : 'one broker of a cluster cannot be reset; start another cluster',
      )
    }
    faults.clear()
    for (const scope of ['broker', 'cluster'] as const) {
      if (configs.altered(scope).size > 0) await configs.alter(scope, noValues)
    }
    await Promise.all([groups.startOver(), startTopics.restore()])
  }
  let closed: Promise<void> | null = null
  let tellEnded: (reason: VarveError | null) => void
  const ended = new Promise<VarveError | null>((resolve) => {
    tellEnded = resolve
  })
  const end = (isCrash = false, reason: VarveError | null = null): Promise<void> =>
    (closed ??= close(isCrash).finally(() => tellEnded(reason)))
  // What goes wrong then is in the log.
  foundation.onTakenOver((reason) => void end(false, reason).catch(() => {}))
  const first = listeners[0]!
  const advertised = first.endpointFor('')
  return {
    address: formatAddress(advertised.host, advertised.port),
    host: first.host,
    port: first.port,
    listeners: listeners.map(({ host, port }, index) => {
      const { name } = options.listeners[index]!
      return { name, protocol: options.protocolOf(name), host, port }
    }),
    admin: admin === null ? null : { host: admin.host, port: admin.port },
    dataDirectories: directories.paths,
    durability,
    clusterId: directory.clusterId,
    nodeId: directory.nodeId,
    rack: options.rack,
    cluster:
      options.cluster === null
        ? null
        : {
            store: options.cluster.store,
            get brokerIds() {
              return [...cluster.brokerIds()].sort((a, b) => a - b)
            },
            get controllerId() {
              return cluster.controllerId === noBroker ? null : cluster.controllerId
            },
          },
    get problems() {
      return problems()
    },
    faults,
    records: (topic, wanted = {}) => storedRecords.all(topic, wanted),
    waitForRecords: (topic, expected, wanted = {}) => storedRecords.waitFor(topic, expected, wanted),
    reloadCertificates: async () =>
      void (await Promise.all([tls?.renewal.reload(), metadata.reloadCertificates?.()])),
    reset: () => (resetting = resetting.catch(() => {}).then(reset)),
    close: () => end(),
    ended,
    crash: () => end(true),
    [Symbol.asyncDispose]: () => end(),
  }
}
