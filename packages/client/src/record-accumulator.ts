import type { Partitioner } from '@varve/partitioning'
import { VarveError, type RecordInput } from '@varve/records'
import type { Clock } from './clock.js'
import type { TopicMetadata } from './cluster.js'
import { PartitionQueue, ProducerBatch, type Delivery, type Reject, type Resolve } from './producer-batch.js'

/** A record, and where it should go if its key is not to decide that. */
export type ProducerRecord = RecordInput & { readonly partition?: number | undefined }

export interface AccumulatorOptions {
  lingerMs: number
  batchBytes: number
  maxBufferedBytes: number
  partitioner: Partitioner
}

/** A send whose record is not in a batch yet. */
interface HeldSend {
  readonly route: Route
  readonly record: ProducerRecord
  readonly resolve: Resolve
  readonly reject: Reject
  readonly since: number
  /** Roughly, of a record that waits for its topic's metadata; 0 of one that waits for memory. */
  readonly bytes: number
  /** Called when it is held no longer. */
  left: Array<() => void> | null
}

interface Route {
  readonly topic: string
  /** By partition number; empty until the topic's metadata has come. */
  queues: PartitionQueue[]
  /** Partitions with a leader, where there are some without one. */
  available: number[] | undefined
  /** What came before the metadata did. */
  held: HeldSend[]
}

/** What the accumulator asks of its owner. */
export interface AccumulatorEvents {
  /** A batch of the queue is ready to be sent. */
  ready(queue: PartitionQueue): void
  /** A topic's partitions are not known: call `setPartitions` or `rejectHeld`. */
  unknownTopic(): void
}

/**
 * Gathers records into batches, one open batch per partition, within a bound of memory.
 *
 * Records that come before their topic's metadata, or while the memory is full, are held in the order in which they
 * came; nothing overtakes them.
 */
export class RecordAccumulator {
  private readonly options: AccumulatorOptions
  private readonly clock: Clock
  private readonly events: AccumulatorEvents
  private readonly routes = new Map<string, Route>()
  /** Batches that still take records, oldest first. */
  private readonly lingering = new Set<ProducerBatch>()
  private cancelLinger: (() => void) | null = null
  private blocked: HeldSend[] = []
  private readonly incomplete = new Map<ProducerBatch, PartitionQueue>()
  private drainListeners: Array<() => void> = []
  private buffered = 0
  /** Of records that wait for their topic's metadata. */
  private heldBytes = 0

  constructor(options: AccumulatorOptions, clock: Clock, events: AccumulatorEvents) {
    this.options = options
    this.clock = clock
    this.events = events
  }

  get bufferedBytes(): number {
    return this.buffered
  }

  get topics(): string[] {
    return [...this.routes.keys()]
  }

  /** Topics with records that wait for metadata, and since when the oldest does, in ms since 1970. */
  get waitingTopics(): Map<string, number> {
    const waiting = new Map<string, number>()
    for (const { topic, held } of this.routes.values()) {
      if (held[0] !== undefined) waiting.set(topic, held[0].since)
    }
    return waiting
  }

  append(topic: string, record: ProducerRecord): Promise<Delivery> {
    return new Promise((resolve, reject) => {
      // Before anything looks for its key; the rest is checked when it is encoded.
      if (typeof record !== 'object' || record === null) throw noRecord(record)
      const route = this.routes.get(topic) ?? this.addRoute(topic)
      if (route.queues.length === 0) {
        const bytes = roughBytes(record)
        route.held.push({ route, record, resolve, reject, since: this.clock.now(), bytes, left: null })
        this.heldBytes += bytes
        this.events.unknownTopic()
      } else if (this.isFull) {
        this.blocked.push({ route, record, resolve, reject, since: 0, bytes: 0, left: null })
        this.unblock()
      } else {
        this.accumulate(route, record, resolve, reject)
      }
    })
  }

  /** The topic has this many partitions, and these leaders, now. Records that waited for that go into batches. */
  setPartitions({ name, partitions }: TopicMetadata): void {
    const route = this.routes.get(name)
    if (route === undefined) return
    // Partitions are only ever added; a topic that was made anew with fewer gets errors from its brokers.
    for (let partition = route.queues.length; partition < partitions.length; partition++) {
      route.queues.push(new PartitionQueue(name, partition))
    }
    const led = partitions.filter(({ leader }) => leader >= 0).map(({ partition }) => partition)
    route.available = led.length === partitions.length ? undefined : led
    // Not push(...): a hundred thousand arguments do not fit on the stack.
    if (route.queues.length > 0) this.blocked = this.blocked.concat(this.takeHeld(route))
    this.admitBlocked()
  }

  /** Rejects the records of a topic whose metadata cannot be had. */
  rejectHeld(topic: string, error: unknown): void {
    const route = this.routes.get(topic)
    if (route === undefined) return
    for (const send of this.takeHeld(route)) {
      send.reject(error)
      leave(send)
    }
    this.tellDrained()
  }

  /** A batch has its outcome: its memory is free for others. */
  release(batch: ProducerBatch): void {
    this.incomplete.delete(batch)
    this.buffered -= batch.byteLength
    this.admitBlocked()
  }

  async drained(): Promise<void> {
    if (!this.hasRoom) await new Promise<void>((resolve) => this.drainListeners.push(resolve))
  }

  /** Lets nothing linger, and resolves when every record appended before has its outcome. */
  async flush(): Promise<void> {
    this.sealAll()
    const held = [...this.blocked, ...[...this.routes.values()].flatMap((route) => route.held)]
    await Promise.all(held.map((send) => new Promise<void>((resolve) => (send.left ??= []).push(resolve))))
    this.sealAll()
    await Promise.all([...this.incomplete.keys()].map((batch) => batch.settled()))
  }

  /** Rejects everything that is not under way to a broker. */
  discard(error: unknown): void {
    for (const topic of this.routes.keys()) this.rejectHeld(topic, error)
    for (const send of this.blocked.splice(0)) {
      send.reject(error)
      leave(send)
    }
    for (const [batch, queue] of this.incomplete) {
      const at = queue.ready.indexOf(batch)
      if (queue.open === batch) queue.open = null
      else if (at >= 0) queue.ready.splice(at, 1)
      else continue
      this.lingering.delete(batch)
      batch.fail(error)
      this.release(batch)
    }
  }

  private get isFull(): boolean {
    return this.buffered >= this.options.maxBufferedBytes || this.blocked.length > 0
  }

  /** Records of unknown topics do not keep those of known ones waiting, but they fill the memory as well. */
  private get hasRoom(): boolean {
    return !this.isFull && this.heldBytes < this.options.maxBufferedBytes
  }

  private takeHeld(route: Route): HeldSend[] {
    const held = route.held
    route.held = []
    for (const { bytes } of held) this.heldBytes -= bytes
    return held
  }

  private addRoute(topic: string): Route {
    const route: Route = { topic, queues: [], available: undefined, held: [] }
    this.routes.set(topic, route)
    return route
  }

  private accumulate(route: Route, record: ProducerRecord, resolve: Resolve, reject: Reject): void {
    try {
      const now = this.clock.now()
      let queue = this.queueFor(route, record)
      if (queue.open !== null && this.tryAppend(queue.open, record, now, resolve, reject)) return
      if (queue.open !== null) {
        this.seal(queue)
        // The partitioner may prefer another partition now that a batch is full.
        queue = this.queueFor(route, record)
        if (queue.open !== null && this.tryAppend(queue.open, record, now, resolve, reject)) return
        if (queue.open !== null) this.seal(queue)
      }
      const batch = new ProducerBatch(route.topic, queue.partition, this.options.batchBytes, now)
      this.tryAppend(batch, record, now, resolve, reject)
      queue.open = batch
      this.incomplete.set(batch, queue)
      this.lingering.add(batch)
      this.linger()
      if (batch.byteLength >= this.options.batchBytes) this.seal(queue)
    } catch (error) {
      reject(error)
    }
  }

  private tryAppend(
    batch: ProducerBatch,
    record: ProducerRecord,
    now: number,
    resolve: Resolve,
    reject: Reject,
  ): boolean {
    const before = batch.byteLength
    if (!batch.append(record, now, resolve, reject)) return false
    this.buffered += batch.byteLength - before
    return true
  }

  private queueFor(route: Route, { partition, key }: ProducerRecord): PartitionQueue {
    const count = route.queues.length
    let chosen = partition
    if (chosen === undefined) {
      const bytes = typeof key === 'string' ? Buffer.from(key) : (key ?? null)
      chosen = this.options.partitioner.partition(route.topic, bytes, count, route.available)
    }
    const queue = route.queues[chosen]
    if (queue !== undefined) return queue
    throw new VarveError(
      'VARVE_UNKNOWN_PARTITION',
      `Topic '${route.topic}' has no partition ${chosen}: it has ${count}, numbered from 0`,
    )
  }

  private seal(queue: PartitionQueue): void {
    const batch = queue.open
    if (batch === null) return
    queue.ready.push(batch)
    queue.open = null
    this.lingering.delete(batch)
    this.options.partitioner.onNewBatch?.(queue.topic, queue.partition)
    this.events.ready(queue)
  }

  private sealAll(): void {
    for (const batch of this.lingering) this.seal(this.incomplete.get(batch)!)
    this.cancelLinger?.()
    this.cancelLinger = null
  }

  private linger(): void {
    if (this.cancelLinger !== null) return
    const [oldest] = this.lingering
    if (oldest === undefined) return
    const { lingerMs } = this.options
    const end = (): void => {
      this.cancelLinger = null
      this.endLinger()
    }
    if (lingerMs === 0) {
      const immediate = setImmediate(end)
      this.cancelLinger = () => clearImmediate(immediate)
    } else {
      this.cancelLinger = this.clock.after(Math.max(oldest.createdAt + lingerMs - this.clock.now(), 0), end)
    }
  }

  private endLinger(): void {
    const until = this.clock.now() - this.options.lingerMs
    for (const batch of this.lingering) {
      if (batch.createdAt > until) break
      this.seal(this.incomplete.get(batch)!)
    }
    this.linger()
  }

  /** Where all the memory is held by batches that linger, waiting for memory would be waiting for their timer. */
  private unblock(): void {
    if (this.blocked.length > 0 && this.incomplete.size === this.lingering.size) this.sealAll()
  }

  private admitBlocked(): void {
    let admitted = 0
    while (admitted < this.blocked.length && this.buffered < this.options.maxBufferedBytes) {
      const send = this.blocked[admitted++]!
      this.accumulate(send.route, send.record, send.resolve, send.reject)
      leave(send)
    }
    if (admitted > 0) this.blocked.splice(0, admitted)
    this.unblock()
    this.tellDrained()
  }

  private tellDrained(): void {
    if (!this.hasRoom) return
    for (const listener of this.drainListeners.splice(0)) listener()
  }
}

function leave(send: HeldSend): void {
  for (const listener of send.left ?? []) listener()
  send.left = null
}

function noRecord(given: unknown): VarveError {
  return new VarveError(
    'VARVE_RECORD_INVALID',
    `Cannot send the record: it must be an object with a key, a value or both, got ${given === null ? 'null' : typeof given}`,
  )
}

/** A record that is not encoded yet, without a look at how long its strings will be. */
function roughBytes({ key, value }: ProducerRecord): number {
  return 64 + (key?.length ?? 0) + (value?.length ?? 0)
}
