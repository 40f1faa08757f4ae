import { performance } from 'node:perf_hooks'
import type { RequestHeader } from '@varve/protocol'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RequestMemory } from '../request-memory.js'
import type { RequestObserver } from '../request-observer.js'
import { supportedApis } from '../supported-apis.js'
import type { Topics } from '../topics.js'
import { logMetrics } from './log-metrics.js'

/** What is looked at for each scrape. */
export interface MeasuredBroker {
  readonly topics: Topics
  readonly memory: RequestMemory
  readonly connections: { readonly size: number }
  /** Of SSL listeners, in ms since 1970; null where there are none. */
  readonly certificate: { readonly expiresAt: number } | null
}

/** In seconds: from a request that is answered at once to one that waits as long as clients let it. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/**
 * The broker's metrics. Where Kafka has the same one it has the name that Prometheus's JMX exporter gives it with the
 * rules that come with it for Kafka; what Kafka does not have begins with `varve_`.
 */
export class BrokerMetrics implements RequestObserver {
  readonly #registry = new Registry()
  readonly #requests: Counter<'request' | 'version'>
  readonly #durations: Histogram<'request'>
  readonly #receivedBytes: Counter
  readonly #sentBytes: Counter
  readonly #fetchedBytes: Counter
  /** Looks at each log once, for all that comes from there. */
  #look: () => void = () => {}

  constructor() {
    const registers = [this.#registry]
    this.#requests = new Counter({
      name: 'kafka_network_requestmetrics_requests_total',
      help: 'Requests that have been answered.',
      labelNames: ['request', 'version'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'varve_request_duration_seconds',
      help: 'From when a request is begun, waits of long polls included, until its response goes to the socket.',
      labelNames: ['request'],
      buckets: durationBuckets,
      registers,
    })
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
    this.#fetchedBytes = new Counter({
      name: 'kafka_server_brokertopicmetrics_bytesout_total',
      help: 'Bytes of records that were fetched.',
      registers,
    })
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    this.#look()
    return this.#registry.metrics()
  }

  now(): number {
    return performance.now()
  }

  received(bytes: number): void {
    this.#receivedBytes.inc(bytes)
  }

  answered({ apiKey, apiVersion }: RequestHeader, beganAt: number, bytes: number, recordBytes: number): void {
    const request = supportedApis.get(apiKey)?.api.name ?? 'unknown'
    this.#requests.inc({ request, version: String(apiVersion) })
    this.#durations.observe({ request }, (performance.now() - beganAt) / 1000)
    this.#sentBytes.inc(bytes)
    if (recordBytes > 0) this.#fetchedBytes.inc(recordBytes)
  }

  /** Adds what is there once the logs are open. */
  measure({ topics, memory, connections, certificate }: MeasuredBroker): void {
    this.#gauge('kafka_server_kafkaserver_brokerstate', "Kafka's number of the state: 3 is running.", () => 3)
    this.#gauge('kafka_controller_kafkacontroller_activecontrollercount', 'This broker is its own.', () => 1)
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
    const count = (counts: (partition: PartitionOf) => boolean) => (): number => {
      let found = 0
      for (const topic of topics.all()) {
        for (const partition of topic.partitions) if (counts(partition)) found++
      }
      return found
    }
    this.#gauge(
      'kafka_server_replicamanager_partitioncount',
      'Partitions.',
      count(() => true),
    )
    this.#gauge(
      'kafka_server_replicamanager_underminisrpartitioncount',
      'Partitions with fewer in-sync replicas than they need, which is one: those that cannot be written.',
      count(({ failure }) => failure !== null),
    )
    this.#gauge(
      'kafka_server_replicamanager_offlinereplicacount',
      'Partitions that cannot be written.',
      count(({ failure }) => failure !== null),
    )
    this.#look = logMetrics(this.#registry, topics)
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

type TopicOf = ReturnType<Topics['all']> extends Iterable<infer T> ? T : never
type PartitionOf = TopicOf['partitions'][number]
