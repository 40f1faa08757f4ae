import { errors } from '@varve/protocol'
import { defaultPartitioner, type Partitioner } from '@varve/partitioning'
import { compressionOptions, VarveError, type Compression, type CompressionOptions } from '@varve/records'
import { systemClock, type Clock } from './clock.js'
import { Cluster, type ClusterOptions, type Refreshed } from './cluster.js'
import { KafkaError } from './kafka-error.js'
import { ProduceSender } from './produce-sender.js'
import type { Delivery } from './producer-batch.js'
import { RecordAccumulator, type ProducerRecord } from './record-accumulator.js'

export type { Delivery } from './producer-batch.js'
export type { ProducerRecord } from './record-accumulator.js'

export interface ProducerOptions extends Pick<
  ClusterOptions,
  'brokers' | 'clientId' | 'tls' | 'connectTimeoutMs' | 'clock'
> {
  /** Who must have a record before it counts as delivered: −1 all in-sync replicas (default), 1 the leader, 0 nobody. */
  acks?: -1 | 0 | 1
  /** How long a record may wait for others to share its batch, in ms. Default 5; 0 waits for the end of the tick. */
  lingerMs?: number
  /** Size at which a batch is sent without waiting, before compression. Default 524 288 (512 KiB). */
  batchBytes?: number
  /**
   * `'none'` (default), `'gzip'`, `'snappy'`, `'lz4'` or `'zstd'`, alone or with a level: `{ codec: 'zstd', level: 19 }`
   * (Kafka's `compression.gzip.level`, `compression.lz4.level` and `compression.zstd.level`, KIP-390).
   */
  compression?: Compression | CompressionOptions
  /** Bytes of records that may be on their way; beyond it `send` holds records back. Default 33 554 432 (32 MiB). */
  maxBufferedBytes?: number
  /** Size of one request, which carries batches of several partitions. Default 4 194 304 (4 MiB). */
  maxRequestBytes?: number
  /** Default: Kafka's own, murmur2 of the key, or one partition after another for records without a key. */
  partitioner?: Partitioner
  /** How long the broker may take to fulfil a request, in ms. Default 30 000. */
  requestTimeoutMs?: number
  /**
   * Whether batches are numbered, so that a retry is written once however the first attempt ended, and in its place
   * (KIP-98). Default: true where `acks` is −1, `retries` is not 0 and `maxInFlight` is at most 5, which it needs.
   */
  idempotence?: boolean
  /**
   * How often a batch is sent again after an error that may pass. Default 2 147 483 647: until `deliveryTimeoutMs` is over.
   * Without idempotence a retry after a lost connection can write a batch twice; 0 writes everything at most once.
   */
  retries?: number
  /** Pause before the first retry, in ms; it doubles with each up to one second. Default 100. */
  retryBackoffMs?: number
  /** How long a record may take from `send` to its outcome, retries included, in ms. Default 120 000. */
  deliveryTimeoutMs?: number
  /** Requests under way to each broker. Default 5. */
  maxInFlight?: number
  /** Whether brokers may create a topic because a record is sent to it. Default true; the broker decides as well. */
  allowAutoTopicCreation?: boolean
}

const METADATA_MAX_AGE_MS = 300_000
// A topic that is being created is unknown at first; one that stays unknown this long will not come.
const UNKNOWN_TOPIC_GRACE_MS = 10_000

/**
 * Sends records to the topics of a Kafka cluster.
 *
 * Each `send` gives a promise of its own, and need not be awaited before the next: records to the same partition are
 * written in the order of their `send` calls.
 */
export class Producer {
  private readonly cluster: Cluster
  private readonly clock: Clock
  private readonly accumulator: RecordAccumulator
  private readonly sender: ProduceSender
  private readonly retries: number
  private readonly retryBackoffMs: number
  private readonly deliveryTimeoutMs: number
  private readonly allowAutoTopicCreation: boolean
  private refreshing = false
  private refreshFailures = 0
  private closed = false

  /** Connects with the first `send`. @throws VarveError `VARVE_INVALID_OPTION` */
  constructor(options: ProducerOptions) {
    const acks = options.acks ?? -1
    if (![-1, 0, 1].includes(acks)) throw invalidOption('acks', acks, '-1, 0 or 1')
    const compression = producerCompression(options.compression ?? 'none')
    this.retries = wholeNumber('retries', options.retries, 0x7fff_ffff)
    this.retryBackoffMs = wholeNumber('retryBackoffMs', options.retryBackoffMs, 100)
    this.deliveryTimeoutMs = wholeNumber('deliveryTimeoutMs', options.deliveryTimeoutMs, 120_000, 1)
    this.allowAutoTopicCreation = options.allowAutoTopicCreation ?? true
    this.clock = options.clock ?? systemClock

    const requestTimeoutMs = wholeNumber('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1)
    const maxInFlight = wholeNumber('maxInFlight', options.maxInFlight, 5, 1)
    const allowsIdempotence = acks === -1 && this.retries > 0 && maxInFlight <= 5
    const idempotence = options.idempotence ?? allowsIdempotence
    if (idempotence && !allowsIdempotence) {
      const needed = 'false unless acks is -1, retries is more than 0 and maxInFlight at most 5'
      throw invalidOption('idempotence', idempotence, needed)
    }
    const { brokers, clientId, tls, connectTimeoutMs, clock } = options
    // One request more than batches use, so that asking for metadata does not have to wait for them.
    this.cluster = new Cluster({
      brokers,
      clientId,
      tls,
      connectTimeoutMs,
      requestTimeoutMs,
      clock,
      maxInFlight: maxInFlight + 1,
    })
    this.accumulator = new RecordAccumulator(
      {
        lingerMs: wholeNumber('lingerMs', options.lingerMs, 5),
        batchBytes: wholeNumber('batchBytes', options.batchBytes, 524_288, 1),
        maxBufferedBytes: wholeNumber('maxBufferedBytes', options.maxBufferedBytes, 33_554_432, 1),
        partitioner: options.partitioner ?? defaultPartitioner(),
      },
      this.clock,
      {
        ready: (queue) => {
          this.sender.add(queue)
          if (this.cluster.metadataAgeMs > METADATA_MAX_AGE_MS) this.refreshMetadata()
        },
        unknownTopic: () => this.refreshMetadata(),
      },
    )
    this.sender = new ProduceSender(
      this.cluster,
      {
        acks,
        compression,
        idempotence,
        maxInFlight,
        requestTimeoutMs,
        maxRequestBytes: wholeNumber('maxRequestBytes', options.maxRequestBytes, 4_194_304, 1),
        retries: this.retries,
        retryBackoffMs: this.retryBackoffMs,
        deliveryTimeoutMs: this.deliveryTimeoutMs,
      },
      this.clock,
      {
        settled: (batch) => {
          try {
            this.accumulator.release(batch)
          } catch (error) {
            // It is those who waited for the memory that it concerns, not the batch.
            this.broke(error)
          }
        },
        staleMetadata: () => this.refreshMetadata(),
      },
    )
  }

  /** Bytes of records on their way, as the format stores them before compression. */
  get bufferedBytes(): number {
    return this.accumulator.bufferedBytes
  }

  /**
   * Sends one record. The promise is its delivery, as `acks` defines it. The record is encoded before `send` returns,
   * except while its topic is not known yet or the memory is full: leave its buffers alone until it is delivered.
   *
   * @throws VarveError `VARVE_KAFKA_ERROR` (a KafkaError with Kafka's own name); `VARVE_CONNECTION_CLOSED` and
   * `VARVE_REQUEST_TIMEOUT` (the broker may or may not have written the record); `VARVE_CONNECTION_FAILED`,
   * `VARVE_NO_BROKER`, `VARVE_DELIVERY_TIMEOUT`, `VARVE_UNKNOWN_PARTITION`, `VARVE_RECORD_INVALID`,
   * `VARVE_CLIENT_CLOSED`; `VARVE_INTERNAL` (a defect here or in the partitioner: `cause` is the error itself).
   */
  send(topic: string, record: ProducerRecord): Promise<Delivery> {
    if (this.closed) return Promise.reject(clientClosed())
    return this.accumulator.append(topic, record)
  }

  /**
   * Resolves when there is room for more records, at once while there is. A caller that does not await each delivery
   * should await this from time to time: records beyond `maxBufferedBytes` wait in the caller's memory, without bound.
   */
  drained(): Promise<void> {
    return this.accumulator.drained()
  }

  /** Sends what lingers, and resolves when every record sent before has its outcome, good or bad. It never rejects. */
  flush(): Promise<void> {
    return this.accumulator.flush()
  }

  /**
   * Takes no more records, delivers what it has and closes the connections.
   *
   * @param options `discard`: reject what has not been delivered with `VARVE_CLIENT_CLOSED` or
   * `VARVE_CONNECTION_CLOSED` instead of waiting for it
   */
  async close(options: { discard?: boolean } = {}): Promise<void> {
    this.closed = true
    if (options.discard === true) {
      this.accumulator.discard(clientClosed())
      this.cluster.close()
    }
    await this.accumulator.flush()
    this.cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Asks for metadata, again and again while somebody waits for it, once at a time. */
  private refreshMetadata(): void {
    if (this.refreshing) return
    this.refreshing = true
    this.refreshUntilKnown().catch((error: unknown) => this.broke(error))
  }

  private async refreshUntilKnown(): Promise<void> {
    let asked: ReadonlySet<string>
    do {
      // Sends of the same tick are asked for together.
      await Promise.resolve()
      asked = new Set(this.accumulator.topics)
      const refreshed = await this.refresh([...asked])
      if (refreshed !== null) this.take(refreshed)
    } while ([...this.accumulator.waitingTopics.keys()].some((topic) => !asked.has(topic)))

    if (this.accumulator.waitingTopics.size === 0 && !this.sender.lacksLeaders) {
      this.refreshing = false
      this.refreshFailures = 0
      return
    }
    const backoff = Math.min(this.retryBackoffMs * 2 ** Math.min(this.refreshFailures++, 10), 1_000)
    this.clock.after(backoff, () => {
      this.refreshing = false
      this.sender.schedule()
      // Also for batches whose time to be tried again has not come: it is to find the next leader then.
      if (this.accumulator.waitingTopics.size > 0 || this.sender.lacksLeaders) this.refreshMetadata()
      else this.refreshFailures = 0
    })
  }

  /** Null where the refresh failed as refreshes do: nobody was there, or the answer could not be understood. */
  private async refresh(topics: readonly string[]): Promise<Refreshed | null> {
    try {
      return await this.cluster.refresh(topics, { allowAutoTopicCreation: this.allowAutoTopicCreation })
    } catch (error) {
      if (!VarveError.is(error)) throw error
      this.refreshFailed(error)
      return null
    }
  }

  /**
   * An error that no broker and no network can cause. Trying again would hide it, and what it interrupted may never be
   * touched again: everything that is not under way is rejected with it.
   */
  private broke(error: unknown): void {
    this.refreshing = false
    const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    const failure = new VarveError(
      'VARVE_INTERNAL',
      `The producer gave up what it held because of an error in this process, not in the cluster: ${said}`,
      { cause: error },
    )
    this.accumulator.discard(failure)
  }

  private take({ topics, errors: failed }: Refreshed): void {
    for (const topic of topics.values()) this.accumulator.setPartitions(topic)
    const now = this.clock.now()
    const waiting = this.accumulator.waitingTopics
    for (const [topic, code] of failed) {
      const error = new KafkaError(code, `Finding the leaders of topic '${topic}'`)
      const isUnknown = code === errors.UNKNOWN_TOPIC_OR_PARTITION.code
      const patienceMs = isUnknown
        ? Math.min(UNKNOWN_TOPIC_GRACE_MS, this.deliveryTimeoutMs)
        : this.deliveryTimeoutMs
      const since = waiting.get(topic)
      if (!error.retriable || (since !== undefined && now - since >= patienceMs)) {
        this.accumulator.rejectHeld(topic, error)
      }
      if (!error.retriable) this.sender.discard(error, topic)
    }
    this.sender.schedule()
  }

  private refreshFailed(error: VarveError): void {
    const now = this.clock.now()
    const isFinal = this.retries === 0 || !error.retriable
    for (const [topic, since] of this.accumulator.waitingTopics) {
      if (isFinal || now - since >= this.deliveryTimeoutMs) this.accumulator.rejectHeld(topic, error)
    }
    if (isFinal) this.sender.discardLeaderless(error)
  }
}

function wholeNumber(name: string, value: number | undefined, fallback: number, least = 0): number {
  if (value === undefined) return fallback
  if (Number.isSafeInteger(value) && value >= least) return value
  throw invalidOption(name, value, `a whole number from ${least} on`)
}

function producerCompression(compression: Compression | CompressionOptions): CompressionOptions {
  try {
    return compressionOptions(compression)
  } catch (cause) {
    const { message } = cause as VarveError
    throw new VarveError('VARVE_INVALID_OPTION', `The producer's option 'compression' is wrong: ${message}`, {
      cause,
    })
  }
}

function invalidOption(name: string, value: unknown, expected: string): VarveError {
  return new VarveError(
    'VARVE_INVALID_OPTION',
    `The producer's option '${name}' must be ${expected}, not ${String(value)}`,
  )
}

function clientClosed(): VarveError {
  return new VarveError('VARVE_CLIENT_CLOSED', 'The producer has been closed')
}
