import type { PartitionName, ReadRecord } from '../event.js'
import type { SimulatedPartition } from './partition.js'
import { Operations, type Recorder } from './recorder.js'

/** A consumer that reads all partitions, and seeks now and then. */
export class SimulatedConsumer {
  protected readonly recorder: Recorder
  protected readonly operations: Operations
  protected readonly positions = new Map<SimulatedPartition, number>()
  #poll: number | null = null
  isAlive = true

  constructor(recorder: Recorder, client: string) {
    this.recorder = recorder
    this.operations = new Operations(recorder, client)
  }

  static reading(recorder: Recorder, partitions: readonly SimulatedPartition[]): SimulatedConsumer {
    const consumer = new SimulatedConsumer(recorder, recorder.start('reader', { consumer: {} }))
    consumer.assign(new Map(partitions.map((partition) => [partition, partition.start])))
    return consumer
  }

  get client(): string {
    return this.operations.client
  }

  step(): void {
    const { random } = this.recorder
    if (random.chance(0.03) && this.positions.size > 0) this.#seek()
    else if (this.#poll === null) this.#poll = this.operations.invoke({ call: 'poll' })
    else this.#polled()
  }

  crash(): void {
    this.isAlive = false
    this.recorder.record(this.client, { type: 'crash' })
  }

  protected assign(positions: ReadonlyMap<SimulatedPartition, number>, generation?: number): void {
    const { random } = this.recorder
    const told = [...positions].map(([{ name }, position]) => [name, random.chance(0.5) ? position : null])
    this.recorder.record(this.client, {
      type: 'assigned',
      positions: Object.fromEntries(told) as Record<PartitionName, number | null>,
      ...(generation === undefined ? {} : { generation }),
    })
    for (const [partition, position] of positions) this.positions.set(partition, position)
  }

  #seek(): void {
    const { random } = this.recorder
    const partition = random.pick([...this.positions.keys()])
    const offset = random.int(partition.start, partition.highWatermark)
    this.recorder.record(this.client, {
      type: 'seek',
      partition: partition.name,
      offset: random.chance(0.8) ? offset : null,
    })
    this.positions.set(partition, offset)
  }

  #polled(): void {
    const { random } = this.recorder
    const records: Record<PartitionName, readonly ReadRecord[]> = {}
    const positions: Record<PartitionName, number> = {}
    const tellsPositions = random.chance(0.5)
    for (const [partition, position] of this.positions) {
      if (random.chance(0.3)) continue
      // What was deleted meanwhile cannot be read.
      const from = Math.max(position, partition.start)
      const { records: read, next } = partition.read(from, random.int(1, 8))
      if (read.length > 0) records[partition.name] = read
      if (tellsPositions) positions[partition.name] = next
      this.positions.set(partition, next)
    }
    this.operations.ok(this.#poll!, { records, ...(tellsPositions ? { positions } : {}) })
    this.#poll = null
  }
}

/** Reads everything, at the end. */
export function readAll(recorder: Recorder, partitions: readonly SimulatedPartition[]): void {
  const operations = new Operations(recorder, recorder.start('final', { consumer: { final: true } }))
  const listed = operations.invoke({ call: 'listOffsets' })
  recorder.wait()
  operations.ok(listed, {
    ends: Object.fromEntries(partitions.map(({ name, start, end }) => [name, [start, end]])),
  })
  recorder.record(operations.client, {
    type: 'assigned',
    positions: Object.fromEntries(partitions.map(({ name, start }) => [name, start])),
  })
  for (const partition of partitions) {
    for (let next = partition.start; next < partition.end;) {
      const poll = operations.invoke({ call: 'poll' })
      recorder.wait()
      const read = partition.read(next, 20)
      next = read.next
      operations.ok(poll, {
        records: { [partition.name]: read.records },
        positions: { [partition.name]: next },
      })
    }
  }
}
