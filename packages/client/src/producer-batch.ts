import { BatchBuilder, setProducer, type CompressionOptions, type RecordInput } from '@varve/records'
import type { ProducerId } from './producer-identity.js'

/** Where a record ended up. */
export interface Delivery {
  readonly topic: string
  readonly partition: number
  /** −1 with acks 0: the broker does not say. */
  readonly offset: number
}

export type Resolve = (delivery: Delivery) => void
export type Reject = (error: unknown) => void

/** Records of one partition that are sent together, and those who wait to hear of them. */
export class ProducerBatch {
  readonly topic: string
  readonly partition: number
  /** When the first record came, in ms since 1970. */
  readonly createdAt: number
  /** How often it has been sent. */
  attempts = 0
  /** Not to be sent again before this time. */
  retryAt = 0
  /** Its place among the partition's batches; −1 before it was first sent. */
  order = -1
  private producer: (ProducerId & { readonly sequence: number }) | null = null
  private builder: BatchBuilder | null
  private encoded: Buffer | null = null
  private readonly resolvers: Resolve[] = []
  private readonly rejecters: Reject[] = []
  private settledListeners: Array<() => void> | null = null
  private plainBytes = 0

  constructor(topic: string, partition: number, maxBytes: number, createdAt: number) {
    this.topic = topic
    this.partition = partition
    this.createdAt = createdAt
    this.builder = new BatchBuilder(maxBytes)
  }

  get recordsCount(): number {
    return this.resolvers.length
  }

  /** Bytes of the records before compression: what the batch counts for in the producer's memory. */
  get byteLength(): number {
    return this.plainBytes
  }

  /** False when the batch is too full for the record. @throws VarveError `VARVE_RECORD_INVALID` */
  append(record: RecordInput, now: number, resolve: Resolve, reject: Reject): boolean {
    const builder = this.builder!
    if (!builder.append(record, now)) return false
    this.plainBytes = builder.byteLength
    this.resolvers.push(resolve)
    this.rejecters.push(reject)
    return true
  }

  /** Whether it has its sequence number. */
  get isNumbered(): boolean {
    return this.producer !== null
  }

  /** Whether it was sent as this producer's. */
  isOf(identity: ProducerId | null): boolean {
    const { producer } = this
    return producer?.producerId === identity?.producerId && producer?.epoch === identity?.epoch
  }

  /** Makes it the batch of an idempotent producer whose first record has this sequence number. */
  number({ producerId, epoch }: ProducerId, sequence: number): void {
    this.producer = { producerId, epoch, sequence }
    if (this.encoded !== null) setProducer(this.encoded, this.fields!)
  }

  /** The broker has not written it, and takes its number for wrong: it is to get another. */
  unnumber(): void {
    this.producer = null
  }

  /** The bytes to send. The first call compresses and ends the batch; a retry gets the same bytes again. */
  bytes(compression: CompressionOptions): Buffer {
    if (this.encoded === null) {
      this.encoded = this.builder!.finish(compression, this.fields)
      this.builder = null
    }
    return this.encoded
  }

  private get fields(): { producerId: number; producerEpoch: number; baseSequence: number } | undefined {
    if (this.producer === null) return undefined
    const { producerId, epoch, sequence } = this.producer
    return { producerId, producerEpoch: epoch, baseSequence: sequence }
  }

  complete(baseOffset: number): void {
    const { topic, partition, resolvers } = this
    for (let index = 0; index < resolvers.length; index++) {
      resolvers[index]!({ topic, partition, offset: baseOffset < 0 ? -1 : baseOffset + index })
    }
    this.settle()
  }

  /** Every record gets the same error. */
  fail(error: unknown): void {
    for (const reject of this.rejecters) reject(error)
    this.settle()
  }

  /** Resolves, whatever the outcome is, when there is one. */
  settled(): Promise<void> {
    return new Promise((resolve) => (this.settledListeners ??= []).push(resolve))
  }

  private settle(): void {
    this.encoded = null
    this.builder = null
    for (const listener of this.settledListeners ?? []) listener()
  }
}

/** Sequence numbers begin at 0 again after this many. */
const SEQUENCES = 2 ** 31

/** The batches of one partition, oldest first: some under way, some ready, and one that still takes records. */
export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  open: ProducerBatch | null = null
  readonly ready: ProducerBatch[] = []
  /** Under way, in the order in which they were sent. */
  readonly underWay = new Set<ProducerBatch>()
  /** Of those under way, how many have been sent before. */
  retriesInFlight = 0
  /** As whom an idempotent producer writes to this partition. */
  identity: ProducerId | null = null
  /** Whether the leader has written something of this identity, and so knows which number comes next. */
  isKnown = false
  private nextSequence = 0
  private nextOrder = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Gives a batch its place and, for an idempotent producer, its sequence number, if it has none. */
  number(batch: ProducerBatch): void {
    if (batch.order < 0) batch.order = this.nextOrder++
    if (this.identity === null || batch.isNumbered) return
    batch.number(this.identity, this.nextSequence)
    this.nextSequence = (this.nextSequence + batch.recordsCount) % SEQUENCES
  }

  /** How many batches the next one to send would be behind the oldest of those under way. */
  get reach(): number {
    const [oldest] = this.underWay
    const next = this.ready[0]!.order
    return oldest === undefined ? 0 : (next < 0 ? this.nextOrder : next) - oldest.order
  }

  /** A leader has written the batch. */
  acknowledged(batch: ProducerBatch): void {
    this.isKnown ||= batch.isOf(this.identity)
  }

  /** Takes a batch back that is to be sent again, before all that came after it. */
  putBack(batch: ProducerBatch): void {
    const at = this.ready.findIndex(({ order }) => order < 0 || order > batch.order)
    this.ready.splice(at < 0 ? this.ready.length : at, 0, batch)
  }

  /** Sequences begin anew, with those that are ready. */
  renumber(identity: ProducerId | null): void {
    this.identity = identity
    this.isKnown = false
    this.nextSequence = 0
    for (const batch of this.ready) batch.unnumber()
  }
}
