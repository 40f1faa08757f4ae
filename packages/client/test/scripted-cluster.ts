import { errors, ZERO_UUID } from '@varve/protocol'
import { batchesIn, encodeBatch, type RecordInput } from '@varve/records'
import { ScriptedBroker, type ScriptedBrokerOptions, type ScriptedRequest } from './scripted-broker.js'

export interface ScriptedTopic {
  /** 22 characters, or absent for a cluster without topic ids. */
  topicId?: string
  /** The leader of each partition, as an index into the brokers; −1 for none. */
  leaders: number[]
  /** The leader epoch of each partition. Default: 0. */
  epochs?: number[]
}

/** What a partition holds: the batches that were produced to it, offsets assigned. */
export class ScriptedLog {
  readonly batches: Buffer[] = []
  endOffset = 0

  /** What idempotent producers wrote last: their epoch, next sequence number, and the offsets of their batches. */
  private readonly producers = new Map<
    number | bigint,
    { epoch: number; next: number; offsets: Map<number, number> }
  >()

  /** Appends one batch as a leader does that knows retries and gaps (KIP-98). */
  appendChecked(records: Buffer): { errorCode: number; baseOffset: number } {
    const [batch] = batchesIn(records)
    const { producerId, producerEpoch, baseSequence, recordsCount } = batch!
    if (producerId < 0) return { errorCode: 0, baseOffset: this.append(records) }
    const known = this.producers.get(producerId)
    if (known !== undefined && producerEpoch < known.epoch)
      return { errorCode: errors.INVALID_PRODUCER_EPOCH.code, baseOffset: -1 }
    // Of a producer that it has never seen, a leader takes any number for the first.
    const first = known === undefined ? baseSequence : 0
    const state =
      known?.epoch === producerEpoch ? known : { epoch: producerEpoch, next: first, offsets: new Map() }
    const original = state.offsets.get(baseSequence)
    if (original !== undefined) return { errorCode: 0, baseOffset: original }
    if (baseSequence !== state.next)
      return { errorCode: errors.OUT_OF_ORDER_SEQUENCE_NUMBER.code, baseOffset: -1 }
    const baseOffset = this.append(records)
    state.offsets.set(baseSequence, baseOffset)
    // It remembers the last five.
    for (const sequence of [...state.offsets.keys()].slice(0, -5)) state.offsets.delete(sequence)
    state.next = baseSequence + recordsCount
    this.producers.set(producerId, state)
    return { errorCode: 0, baseOffset }
  }

  /** Appends encoded batches, as a leader does, and gives the offset of the first record. */
  append(records: Buffer): number {
    const baseOffset = this.endOffset
    for (const batch of batchesIn(Buffer.from(records))) {
      batch.buffer.writeBigInt64BE(BigInt(this.endOffset), 0)
      this.batches.push(batch.buffer)
      this.endOffset = batch.nextOffset
    }
    return baseOffset
  }

  add(...records: RecordInput[]): this {
    this.append(encodeBatch(records, { now: 1_700_000_000_000 }))
    return this
  }

  /** Whole batches from the one that holds `offset` on. */
  from(offset: number, maxBytes = Infinity): Buffer {
    const found: Buffer[] = []
    let bytes = 0
    for (const batch of batchesIn(Buffer.concat(this.batches))) {
      if (batch.nextOffset <= offset) continue
      if (found.length > 0 && bytes + batch.byteLength > maxBytes) break
      found.push(batch.buffer)
      bytes += batch.byteLength
    }
    return Buffer.concat(found)
  }

  values(): string[] {
    return [...batchesIn(Buffer.concat(this.batches))].flatMap((batch) =>
      Array.from(batch.records(), ({ value }) => String(value)),
    )
  }
}

/**
 * Several scripted brokers that agree on topics and leaders and keep what is produced in memory: enough of a cluster
 * that a test only says where it misbehaves, by `on` of the broker in question.
 */
export class ScriptedCluster {
  readonly brokers: ScriptedBroker[]
  readonly topics: Record<string, ScriptedTopic> = {}
  private readonly logs = new Map<string, ScriptedLog>()
  private readonly waiting = new Set<() => void>()

  private constructor(brokers: ScriptedBroker[]) {
    this.brokers = brokers
    brokers.forEach((broker, node) => {
      broker.on('Metadata', (request) => this.metadata(request))
      broker.on('InitProducerId', () => ({
        throttleTimeMs: 0,
        errorCode: 0,
        producerId: 7,
        producerEpoch: 0,
      }))
      broker.on('Produce', (request) => this.produce(request, node))
      broker.on('Fetch', (request) => this.fetch(request, node))
      broker.on('ListOffsets', (request) => this.listOffsets(request, node))
    })
  }

  static async start(count = 1, options: ScriptedBrokerOptions = {}): Promise<ScriptedCluster> {
    return new ScriptedCluster(
      await Promise.all(Array.from({ length: count }, () => ScriptedBroker.start(options))),
    )
  }

  get addresses(): string[] {
    return this.brokers.map(({ address }) => address)
  }

  log(topic: string, partition = 0): ScriptedLog {
    const key = `${topic}-${partition}`
    const log = this.logs.get(key) ?? new ScriptedLog()
    this.logs.set(key, log)
    return log
  }

  /** Answers the fetches that wait for something to happen. */
  notify(): void {
    for (const answer of this.waiting) answer()
  }

  async stop(): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.stop()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  metadata({ body }: ScriptedRequest): any {
    const names: string[] =
      body.topics === null ? Object.keys(this.topics) : body.topics.map(({ name }: any) => name)
    return {
      throttleTimeMs: 0,
      brokers: this.brokers.map(({ port }, nodeId) => ({ nodeId, host: '127.0.0.1', port })),
      clusterId: 'scripted',
      controllerId: 0,
      topics: names.map((name) => {
        const topic = this.topics[name]
        const topicId = topic?.topicId ?? ZERO_UUID
        if (topic === undefined)
          return { errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code, name, topicId, partitions: [] }
        const partitions = topic.leaders.map((leaderId, partitionIndex) => ({
          errorCode: leaderId < 0 ? errors.LEADER_NOT_AVAILABLE.code : 0,
          partitionIndex,
          leaderId,
          leaderEpoch: topic.epochs?.[partitionIndex] ?? 0,
          replicaNodes: [],
          isrNodes: [],
          offlineReplicas: [],
        }))
        return { errorCode: 0, name, topicId, partitions }
      }),
      errorCode: 0,
    }
  }

  /** The response that a working leader gives; `errorOf` puts errors in. */
  produce(
    { body }: ScriptedRequest,
    node: number,
    errorOf: (topic: string, partition: number) => number = () => 0,
  ): any {
    const responses = body.topicData.map(({ name, topicId, partitionData }: any) => {
      const topic = name === '' ? this.nameOf(topicId) : name
      return {
        name,
        topicId,
        partitionResponses: partitionData.map(({ index, records }: any) => {
          const errorCode = errorOf(topic, index) || this.leaderError(topic, index, node)
          const outcome =
            errorCode === 0 ? this.log(topic, index).appendChecked(records) : { errorCode, baseOffset: -1 }
          return { index, ...outcome, recordErrors: [] }
        }),
      }
    })
    return body.acks === 0 ? undefined : { responses, throttleTimeMs: 0 }
  }

  /** Answers at once where there are records or errors, and else when `notify` is called. */
  fetch(request: ScriptedRequest, node: number): any {
    const response = this.fetchResponse(request, node)
    const isEmpty = response.responses.every(({ partitions }: any) =>
      partitions.every(({ errorCode, records }: any) => errorCode === 0 && records.length === 0),
    )
    if (!isEmpty) return response
    const answer = (): void => {
      const later = this.fetchResponse(request, node)
      this.waiting.delete(answer)
      request.answer(later)
    }
    this.waiting.add(answer)
    request.socket.once('close', () => this.waiting.delete(answer))
    return undefined
  }

  fetchResponse({ body }: ScriptedRequest, node: number): any {
    const responses = body.topics.map(({ topic, topicId, partitions }: any) => {
      const name = topic === '' ? this.nameOf(topicId) : topic
      return {
        topic,
        topicId,
        partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes }: any) => {
          const log = this.log(name, partition)
          let errorCode = this.leaderError(name, partition, node)
          if (errorCode === 0 && fetchOffset > log.endOffset) errorCode = errors.OFFSET_OUT_OF_RANGE.code
          return {
            partitionIndex: partition,
            errorCode,
            highWatermark: log.endOffset,
            lastStableOffset: log.endOffset,
            abortedTransactions: [],
            records: errorCode === 0 ? log.from(fetchOffset, partitionMaxBytes) : Buffer.alloc(0),
          }
        }),
      }
    })
    return { throttleTimeMs: 0, errorCode: 0, responses }
  }

  listOffsets({ body }: ScriptedRequest, node: number): any {
    const topics = body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }: any) => {
        const errorCode = this.leaderError(name, partitionIndex, node)
        const offset = timestamp === -1 ? this.log(name, partitionIndex).endOffset : 0
        return { partitionIndex, errorCode, timestamp: -1, offset }
      }),
    }))
    return { throttleTimeMs: 0, topics }
  }

  private leaderError(topic: string, partition: number, node: number): number {
    const leader = this.topics[topic]?.leaders[partition]
    if (leader === undefined) return errors.UNKNOWN_TOPIC_OR_PARTITION.code
    return leader === node ? 0 : errors.NOT_LEADER_OR_FOLLOWER.code
  }

  private nameOf(topicId: string): string {
    return (
      Object.entries(this.topics).find(([, topic]) => topic.topicId === topicId)?.[0] ?? 'unknown topic id'
    )
  }
}

/** Whether a promise is still waiting after everything that is due has run. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = (): void => {
    settled = true
  }
  promise.then(settle, settle)
  await new Promise((resolve) => setImmediate(resolve))
  return !settled
}
