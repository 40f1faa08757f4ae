import { performance } from 'node:perf_hooks'
import type { AnyApi, RequestHeader } from '@varve/protocol'
import { isUnderMinIsr, isUnderReplicated, noBroker } from '@varve/replication'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { ClusterView } from '../cluster-view.js'
import type { FetchSessions } from '../fetch-sessions.js'
import type { GroupCoordinator } from '../groups/group-coordinator.js'
import type { Partition } from '../partition.js'
import type { RequestMemory } from '../request-memory.js'
import type { DelayedOperation, FetchedBy, RequestObserver } from '../request-observer.js'
import type { Topics } from '../topics.js'
import { groupMetrics } from './group-metrics.js'
import type { Health } from './health.js'
import { logMetrics } from './log-metrics.js'
import { RequestMetrics } from './request-metrics.js'
import { TopicMetrics } from './topic-metrics.js'

/** What is looked at for each scrape. */
export interface MeasuredBroker {
  readonly nodeId: number
  readonly cluster: ClusterView
  readonly topics: Topics
  readonly memory: RequestMemory
  readonly connections: { readonly size: number }
  readonly groups: GroupCoordinator
  readonly fetchSessions: FetchSessions
  /** Of SSL listeners, in ms since 1970; null where there are none. */
  readonly certificate: { readonly expiresAt: number } | null
}

/** Kafka's RECOVERY, RUNNING and SHUTTING_DOWN. */
const brokerStates = { starting: 2, serving: 3, draining: 7 } as const

/**
 * The broker's metrics. Where Kafka has the same one it has the name that Prometheus's JMX exporter gives it with the
 * rules that come with it for Kafka; what Kafka does not have begins with `varve_`.
 */
export class BrokerMetrics implements RequestObserver {
  readonly #registry = new Registry()
  readonly #requests = new RequestMetrics(this.#registry)
  readonly #topics = new TopicMetrics(this.#registry)
  readonly #receivedBytes: Counter
  readonly #sentBytes: Counter
  readonly #delayed: Gauge<'delayedOperation'>
  /** Look at what is only looked at for scrapes. */
  readonly #looks: (() => void)[] = [() => this.#requests.look(performance.now()), () => this.#topics.look()]

  constructor(phase: () => Health['phase']) {
    const registers = [this.#registry]
    this.#receivedBytes = new Counter({
      name: 'varve_network_received_bytes_total',
      help: 'Bytes of requests.',
      registers,
    })
    this.#sentBytes = new Counter({
      name: 'varve_network_sent_bytes_total',
      help: 'Bytes of responses.',
      registers,
    })
    this.#delayed = new Gauge({
      name: 'kafka_server_delayedoperationpurgatory_purgatorysize',
      help: 'Requests that wait: a Fetch for records, a Produce for its acknowledgement.',
      labelNames: ['delayedOperation'],
      registers,
    })
    for (const delayedOperation of ['Produce', 'Fetch']) this.#delayed.set({ delayedOperation }, 0)
    this.#gauge(
      'kafka_server_kafkaserver_brokerstate',
      "Kafka's number of the state: 2 logs are being opened, 3 running, 7 shutting down.",
      () => brokerStates[phase()],
    )
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    for (const look of this.#looks) look()
    return this.#registry.metrics()
  }

  now(): number {
    return performance.now()
  }

  received(bytes: number): void {
    this.#receivedBytes.inc(bytes)
  }

  responded(api: AnyApi, version: number, response: object): void {
    this.#requests.responded(api, version, response)
  }

  answered(header: RequestHeader, beganAt: number, bytes: number): void {
    this.#requests.answered(header, beganAt, performance.now())
    this.#sentBytes.inc(bytes)
  }

  produced(topic: string | null, errorCode: number): void {
    this.#topics.produced(topic, errorCode)
  }

  fetched(topic: string | null, errorCode: number, bytes: number, by: FetchedBy): void {
    this.#topics.fetched(topic, errorCode, bytes, by)
  }

  delayed(delayedOperation: DelayedOperation, change: 1 | -1): void {
    this.#delayed.inc({ delayedOperation }, change)
  }

  /** Adds what is there once the logs are open. */
  measure(broker: MeasuredBroker): void {
    const { nodeId, cluster, topics, memory, connections, groups, fetchSessions, certificate } = broker
    this.#gauge(
      'kafka_controller_kafkacontroller_activecontrollercount',
      'Whether this broker is the controller.',
      () => (cluster.controllerId === nodeId ? 1 : 0),
    )
    this.#gauge(
      'kafka_server_socket_server_metrics_connection_count',
      'Open connections.',
      () => connections.size,
    )
    this.#gauge('varve_request_memory_bytes', 'Held by requests and responses.', () => memory.usedBytes)
    if (certificate !== null) {
      this.#gauge(
        'varve_ssl_certificate_expiry_timestamp_seconds',
        'When the certificate of SSL listeners expires, in seconds since 1970.',
        () => certificate.expiresAt / 1000,
      )
    }
    this.#fetchSessions(fetchSessions)
    this.#partitions(topics, cluster)
    this.#topics.follow(topics)
    this.#looks.push(logMetrics(this.#registry, topics), groupMetrics(this.#registry, groups))
  }

  #fetchSessions(sessions: FetchSessions): void {
    const cache = 'kafka_server_fetchsessioncache_'
    this.#gauge(`${cache}numincrementalfetchsessions`, 'Fetch sessions.', () => sessions.size)
    this.#gauge(
      `${cache}numincrementalfetchpartitionscached`,
      'Partitions that they keep.',
      () => sessions.partitions,
    )
    const evictions = new Counter({
      name: `${cache}incrementalfetchsessionevictions_total`,
      help: 'Sessions that were given up for others.',
      registers: [this.#registry],
    })
    this.#looks.push(() => {
      evictions.reset()
      evictions.inc(sessions.evictions)
    })
  }

  /** A partition whose only replica fails has no leader in Kafka's terms: that replica is offline. */
  #partitions(topics: Topics, cluster: ClusterView): void {
    const count = (counts: (partition: Partition) => boolean) => (): number => {
      let found = 0
      for (const topic of topics.all()) {
        for (const partition of topic.partitions) if (counts(partition)) found++
      }
      return found
    }
    const hasFailed = ({ failure }: Partition): boolean => failure !== null
    const leads = (partition: Partition): boolean => partition.leader !== null && !hasFailed(partition)
    const onlyReplicaFailed = (partition: Partition): boolean =>
      hasFailed(partition) && partition.state.replicas.length === 1
    const replicas = 'kafka_server_replicamanager_'
    const controller = 'kafka_controller_kafkacontroller_'
    this.#gauge(
      `${replicas}partitioncount`,
      'Partitions with a replica on this broker.',
      count(({ hosted }) => hosted),
    )
    this.#gauge(
      `${controller}globalpartitioncount`,
      'Partitions, of the whole cluster.',
      count(() => true),
    )
    this.#gauge(`${controller}globaltopiccount`, 'Topics.', () => [...topics.all()].length)
    this.#gauge(`${replicas}leadercount`, 'Partitions that this broker leads.', count(leads))
    this.#gauge(
      `${replicas}underminisrpartitioncount`,
      'Led partitions with fewer in-sync replicas than they need.',
      count(
        (partition) => onlyReplicaFailed(partition) || (leads(partition) && isUnderMinIsr(partition.state)),
      ),
    )
    this.#gauge(
      `${replicas}offlinereplicacount`,
      'Replicas on this broker that cannot be written.',
      count(hasFailed),
    )
    this.#gauge(
      `${controller}offlinepartitionscount`,
      'Partitions without a leader, of the whole cluster.',
      count((partition) => onlyReplicaFailed(partition) || cluster.leaderOf(partition) === noBroker),
    )
    this.#gauge(
      `${replicas}underreplicatedpartitions`,
      'Led partitions with replicas out of sync.',
      count((partition) => leads(partition) && isUnderReplicated(partition.state)),
    )
  }

  #gauge(name: string, help: string, value: () => number): void {
    const gauge = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(value())
      },
    })
    this.#registry.registerMetric(gauge)
  }
}
