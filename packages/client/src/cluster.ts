import {
  errors,
  metadata,
  ZERO_UUID,
  type MetadataRequestInput,
  type MetadataResponse,
} from '@varve/protocol'
import { VarveError } from '@varve/records'
import { formatAddress, parseAddresses, type BrokerAddress } from './broker-address.js'
import { systemClock, type Clock } from './clock.js'
import { Connection, type ConnectionOptions } from './connection.js'
import type { TopicPartition } from './topic-partition.js'

export interface ClusterOptions extends Pick<
  ConnectionOptions,
  'clientId' | 'tls' | 'connectTimeoutMs' | 'requestTimeoutMs' | 'maxInFlight' | 'maxResponseBytes' | 'clock'
> {
  /** Where to begin, as `host:port`; any broker of the cluster will do, and more than one is safer. */
  brokers: readonly string[]
}

export interface PartitionMetadata {
  readonly partition: number
  /** The leader's node id, −1 while there is none. */
  readonly leader: number
  /** −1 where the broker is too old to say. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Replicas on brokers that are not there, or on disks that failed; none where the broker is too old to say. */
  readonly offlineReplicas: readonly number[]
}

export interface TopicMetadata {
  readonly name: string
  /** Null where the broker is too old for topic ids. */
  readonly topicId: string | null
  readonly isInternal: boolean
  /** By partition number, without gaps. */
  readonly partitions: readonly PartitionMetadata[]
}

export interface RefreshOptions {
  /** Topics that the broker may create because they were asked for. Default false. */
  allowAutoTopicCreation?: boolean
  signal?: AbortSignal
}

/** The leader that a broker names which is none itself (KIP-951). */
export interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: number
}

/** Where a broker is, as responses tell that name a leader. */
export interface NodeEndpoint extends BrokerAddress {
  readonly nodeId: number
}

/** What a refresh found out about the topics that were asked for. */
export interface Refreshed {
  readonly topics: ReadonlyMap<string, TopicMetadata>
  /** Kafka's error code of each topic that has one. */
  readonly errors: ReadonlyMap<string, number>
}

/** What a client knows of a cluster: its brokers, who leads what, and a connection to each broker it has talked to. */
export class Cluster {
  private readonly bootstrap: readonly BrokerAddress[]
  private readonly options: ClusterOptions
  private readonly clock: Clock
  private readonly nodes = new Map<number, BrokerAddress>()
  private readonly topics = new Map<string, TopicMetadata>()
  private readonly names = new Map<string, string>()
  private readonly connections = new Map<string, Promise<Connection>>()
  private readonly open = new Map<string, Connection>()
  /** Those whose last connection has ended, or could not be made, in that order. */
  private readonly lost = new Set<string>()
  private readonly closing = new AbortController()
  private controllerId = -1
  private refreshedAt = -Infinity

  /** @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(options: ClusterOptions) {
    this.options = options
    this.bootstrap = parseAddresses(options.brokers)
    this.clock = options.clock ?? systemClock
  }

  /** How long ago metadata last came, in ms; Infinity before the first time. */
  get metadataAgeMs(): number {
    return this.clock.now() - this.refreshedAt
  }

  /** Of the brokers that metadata named. */
  get nodeIds(): number[] {
    return [...this.nodes.keys()].sort((a, b) => a - b)
  }

  /** Whether it is known where the node is. */
  knows(nodeId: number): boolean {
    return this.nodes.has(nodeId)
  }

  /** Where a node is, as a response told. */
  learnNode(nodeId: number, address: BrokerAddress): void {
    this.nodes.set(nodeId, address)
  }

  /** The node that a connection leads to, −1 where that is not known. */
  nodeAt({ host, port }: Connection): number {
    for (const [nodeId, address] of this.nodes)
      if (address.host === host && address.port === port) return nodeId
    return -1
  }

  topic(name: string): TopicMetadata | undefined {
    return this.topics.get(name)
  }

  topicName(topicId: string): string | undefined {
    return this.names.get(topicId)
  }

  partition(topic: string, partition: number): PartitionMetadata | undefined {
    return this.topics.get(topic)?.partitions[partition]
  }

  /** The leader's node id; undefined while it is unknown or there is none. */
  leaderOf(topic: string, partition: number): number | undefined {
    const leader = this.partition(topic, partition)?.leader
    return leader !== undefined && leader >= 0 && this.nodes.has(leader) ? leader : undefined
  }

  /** Whether what is sent to the node now leaves at once. */
  isConnectedTo(nodeId: number): boolean {
    const address = this.nodes.get(nodeId)
    return address !== undefined && this.open.has(`${formatAddress(address)}/`)
  }

  /** Whether the last connection to the node has ended, or could not be made. */
  hasLost(nodeId: number): boolean {
    const address = this.nodes.get(nodeId)
    return address !== undefined && this.lost.has(formatAddress(address))
  }

  /** The broker that was taken for the leader says that it is not: there is none until metadata names one again. */
  forgetLeader(topic: string, partition: number): void {
    const known = this.topics.get(topic)
    if (known?.partitions[partition] === undefined) return
    const partitions = known.partitions.with(partition, { ...known.partitions[partition], leader: -1 })
    this.topics.set(topic, { ...known, partitions })
  }

  /**
   * The broker that was taken for the leader names another one (KIP-951). False where that is no news: then metadata has to tell.
   *
   * @param endpoints of the same response, among them that leader's
   */
  learnLeader(
    { topic, partition }: TopicPartition,
    { leaderId, leaderEpoch }: LeaderHint,
    endpoints: readonly NodeEndpoint[],
  ): boolean {
    const topicMetadata = this.topics.get(topic)
    const known = topicMetadata?.partitions[partition]
    if (topicMetadata === undefined || known === undefined) return false
    if (leaderId < 0 || leaderEpoch <= known.leaderEpoch) return false
    for (const { nodeId, host, port } of endpoints) this.nodes.set(nodeId, { host, port })
    if (!this.nodes.has(leaderId)) return false
    const partitions = topicMetadata.partitions.with(partition, { ...known, leader: leaderId, leaderEpoch })
    this.topics.set(topic, { ...topicMetadata, partitions })
    return true
  }

  /**
   * Asks any broker that can be reached. `topics` null asks for all.
   *
   * @throws VarveError `VARVE_NO_BROKER`, or what the request was rejected with. Errors of single topics are not thrown.
   */
  async refresh(topics: readonly string[] | null, options: RefreshOptions = {}): Promise<Refreshed> {
    const connection = await this.anyConnection()
    const version = connection.versionOf(metadata)
    const body: MetadataRequestInput = {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      // Versions before 4 have no such field and always create.
      ...(version >= 4 ? { allowAutoTopicCreation: options.allowAutoTopicCreation ?? false } : {}),
    }
    return this.take(await connection.request(metadata, body, { signal: options.signal }))
  }

  /**
   * A connection to the node, dialled if there is none. Requests that wait long at the broker get a `lane` of their
   * own, because everything behind them on the same connection waits as well.
   *
   * @throws VarveError `VARVE_CONNECTION_FAILED` …
   */
  connectionTo(nodeId: number, lane = ''): Promise<Connection> {
    const address = this.nodes.get(nodeId)
    if (address !== undefined) return this.connect(address, lane)
    return Promise.reject(
      new VarveError('VARVE_CONNECTION_FAILED', `No broker with the node id ${nodeId} is known`, {
        retriable: true,
      }),
    )
  }

  /** The connection to the controller where it is known, as creating topics wants it, and else to any broker. */
  controllerConnection(): Promise<Connection> {
    return this.nodes.has(this.controllerId) ? this.connectionTo(this.controllerId) : this.anyConnection()
  }

  /** @throws VarveError `VARVE_NO_BROKER` */
  async anyConnection(): Promise<Connection> {
    const candidates = this.candidates()
    const failures: unknown[] = []
    for (const address of candidates) {
      try {
        return await this.connect(address, '')
      } catch (error) {
        if (this.closing.signal.aborted) throw error
        failures.push(error)
      }
    }
    const reasons = failures.map((error) => (error as Error).message).join('; ')
    throw new VarveError('VARVE_NO_BROKER', `None of the brokers can be reached: ${reasons}`, {
      cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
      // Waiting helps against everything but a certificate.
      retriable: failures.some((error) => (error as { code?: unknown }).code !== 'VARVE_TLS_FAILED'),
    })
  }

  /** Closes all connections; what is under way is rejected with `VARVE_CONNECTION_CLOSED`. */
  close(): void {
    this.closing.abort(new VarveError('VARVE_CLIENT_CLOSED', 'The client has been closed'))
    for (const connection of this.open.values()) connection.close()
  }

  private candidates(): BrokerAddress[] {
    const byAddress = new Map<string, BrokerAddress>()
    for (const address of [...this.nodes.values(), ...this.bootstrap])
      byAddress.set(formatAddress(address), address)
    // Those that are connected first, and of them whoever has least to answer: one that hangs gets no further questions. Whoever
    // has been lost comes last, since it may take a connection and answer nothing for as long as a client waits.
    const lost = [...this.lost]
    const rank = ([text]: [string, BrokerAddress]): [number, number] => [
      this.open.get(`${text}/`)?.pending ?? Infinity,
      lost.indexOf(text),
    ]
    const order = (a: number, b: number): number => (a === b ? 0 : a - b)
    return [...byAddress]
      .map((entry) => ({ address: entry[1], rank: rank(entry) }))
      .sort((a, b) => order(a.rank[0], b.rank[0]) || order(a.rank[1], b.rank[1]))
      .map(({ address }) => address)
  }

  private connect(address: BrokerAddress, lane: string): Promise<Connection> {
    const text = formatAddress(address)
    const key = `${text}/${lane}`
    const lose = (): void => {
      this.lost.delete(text)
      this.lost.add(text)
    }
    const known = this.connections.get(key)
    if (known !== undefined) return known
    const { clientId, tls, connectTimeoutMs, requestTimeoutMs, maxInFlight, maxResponseBytes } = this.options
    const dialled = Connection.dial(address.host, address.port, {
      clientId,
      tls,
      connectTimeoutMs,
      requestTimeoutMs,
      maxInFlight,
      maxResponseBytes,
      clock: this.clock,
      signal: this.closing.signal,
    }).then(
      (connection) => {
        this.open.set(key, connection)
        this.lost.delete(text)
        connection.onClose(() => {
          lose()
          this.open.delete(key)
          this.connections.delete(key)
        })
        // The connection may have been established while everything else was being closed.
        if (this.closing.signal.aborted) connection.close()
        return connection
      },
      (error: unknown) => {
        lose()
        this.connections.delete(key)
        throw error
      },
    )
    this.connections.set(key, dialled)
    return dialled
  }

  private take(response: MetadataResponse): Refreshed {
    this.refreshedAt = this.clock.now()
    this.controllerId = response.controllerId
    // A broker that has just started may know of none; those that are gone are not to be dialled for ever.
    if (response.brokers.length > 0) this.nodes.clear()
    for (const { nodeId, host, port } of response.brokers) this.nodes.set(nodeId, { host, port })
    const topics = new Map<string, TopicMetadata>()
    const failed = new Map<string, number>()
    for (const topic of response.topics) {
      const name = topic.name
      if (name === null) continue
      if (topic.errorCode !== 0) {
        failed.set(name, topic.errorCode)
        if (topic.errorCode === errors.UNKNOWN_TOPIC_OR_PARTITION.code) this.topics.delete(name)
        continue
      }
      const taken = this.takeTopic(name, topic)
      topics.set(name, taken)
      this.topics.set(name, taken)
      if (taken.topicId !== null) this.names.set(taken.topicId, name)
    }
    return { topics, errors: failed }
  }

  private takeTopic(name: string, topic: MetadataResponse['topics'][number]): TopicMetadata {
    const topicId = topic.topicId === ZERO_UUID ? null : topic.topicId
    const before = this.topics.get(name)
    const partitions = [...topic.partitions]
      .sort((a, b) => a.partitionIndex - b.partitionIndex)
      .filter(({ partitionIndex }, index) => partitionIndex === index)
      .map((found): PartitionMetadata => {
        const known = before?.topicId === topicId ? before.partitions[found.partitionIndex] : undefined
        // A broker that lags behind must not bring back a leader that has been replaced (KIP-320).
        if (known !== undefined && found.leaderEpoch >= 0 && found.leaderEpoch < known.leaderEpoch)
          return known
        return {
          partition: found.partitionIndex,
          leader: found.leaderId,
          leaderEpoch: found.leaderEpoch,
          replicas: found.replicaNodes,
          isr: found.isrNodes,
          offlineReplicas: found.offlineReplicas,
        }
      })
    return { name, topicId, isInternal: topic.isInternal, partitions }
  }
}
