import { errors } from '@varve/protocol'
import { Counter, type Registry } from 'prom-client'
import type { KafkaError } from '../kafka-error.js'
import type { FetchedBy } from '../request-observer.js'
import type { Topics } from '../topics.js'

interface Traffic {
  produceRequests: number
  failedProduceRequests: number
  fetchRequests: number
  failedFetchRequests: number
  bytesOut: number
}

const nothing = (): Traffic => ({
  produceRequests: 0,
  failedProduceRequests: 0,
  fetchRequests: 0,
  failedFetchRequests: 0,
  bytesOut: 0,
})

/** Kafka's counts of failures are for what a broker should not answer: these are a client's affair, or have metrics of their own. */
const expectedOfProduce: ReadonlySet<number> = codesOf(
  errors.UNKNOWN_TOPIC_OR_PARTITION,
  errors.UNKNOWN_TOPIC_ID,
  errors.NOT_LEADER_OR_FOLLOWER,
  errors.MESSAGE_TOO_LARGE,
  errors.RECORD_LIST_TOO_LARGE,
  errors.CORRUPT_MESSAGE,
  errors.KAFKA_STORAGE_ERROR,
)
const expectedOfFetch: ReadonlySet<number> = codesOf(
  errors.UNKNOWN_TOPIC_OR_PARTITION,
  errors.UNKNOWN_TOPIC_ID,
  errors.INCONSISTENT_TOPIC_ID,
  errors.NOT_LEADER_OR_FOLLOWER,
  errors.UNKNOWN_LEADER_EPOCH,
  errors.FENCED_LEADER_EPOCH,
  errors.OFFSET_OUT_OF_RANGE,
  errors.KAFKA_STORAGE_ERROR,
)

function codesOf(...known: KafkaError[]): ReadonlySet<number> {
  return new Set([0, ...known.map(({ code }) => code)])
}

/**
 * What goes in and out of topics by requests: of each topic, and without a label of all together, also of those that are
 * deleted by now.
 */
export class TopicMetrics {
  readonly #all = nothing()
  readonly #topics = new Map<string, Traffic>()
  readonly #counters: ReadonlyArray<readonly [keyof Traffic, Counter<'topic'>]>
  readonly #replicationBytesOut: Counter

  constructor(registry: Registry) {
    const counter = (name: string, help: string): Counter<'topic'> =>
      new Counter({
        name: `kafka_server_brokertopicmetrics_${name}_total`,
        help,
        labelNames: ['topic'],
        registers: [registry],
      })
    this.#counters = [
      ['produceRequests', counter('totalproducerequests', 'Partitions that were produced to.')],
      [
        'failedProduceRequests',
        counter('failedproducerequests', 'Those for which that failed unexpectedly.'),
      ],
      ['fetchRequests', counter('totalfetchrequests', 'Partitions that were read for Fetch requests.')],
      ['failedFetchRequests', counter('failedfetchrequests', 'Those for which that failed unexpectedly.')],
      ['bytesOut', counter('bytesout', 'Bytes of records that consumers fetched.')],
    ]
    // As in Kafka, of all topics together only.
    this.#replicationBytesOut = new Counter({
      name: 'kafka_server_brokertopicmetrics_replicationbytesout_total',
      help: 'Bytes of records that followers fetched.',
      registers: [registry],
    })
  }

  /** @param topic null for one that there is not: clients may ask for as many names as they like */
  produced(topic: string | null, errorCode: number): void {
    const failed = expectedOfProduce.has(errorCode) ? 0 : 1
    for (const traffic of this.#of(topic)) {
      traffic.produceRequests++
      traffic.failedProduceRequests += failed
    }
  }

  fetched(topic: string | null, errorCode: number, bytes: number, by: FetchedBy): void {
    if (by === 'follower') this.#replicationBytesOut.inc(bytes)
    const failed = expectedOfFetch.has(errorCode) ? 0 : 1
    for (const traffic of this.#of(topic)) {
      traffic.fetchRequests++
      traffic.failedFetchRequests += failed
      if (by === 'consumer') traffic.bytesOut += bytes
    }
  }

  /** Begins to forget topics that are deleted. */
  follow(topics: Topics): void {
    topics.onDelete(async ({ name }) => void this.#topics.delete(name))
  }

  look(): void {
    for (const [key, counter] of this.#counters) {
      counter.reset()
      counter.inc(this.#all[key])
      for (const [topic, traffic] of this.#topics) counter.inc({ topic }, traffic[key])
    }
  }

  #of(topic: string | null): Traffic[] {
    if (topic === null) return [this.#all]
    let traffic = this.#topics.get(topic)
    if (traffic === undefined) this.#topics.set(topic, (traffic = nothing()))
    return [this.#all, traffic]
  }
}
