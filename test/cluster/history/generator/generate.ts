import type { HistoryEvent } from '../event.js'
import { SimulatedConsumer, readAll } from './consumer.js'
import { SimulatedGroup } from './group.js'
import { SimulatedPartition } from './partition.js'
import { SimulatedProducer } from './producer.js'
import { Recorder } from './recorder.js'

export interface Extent {
  /** Each is about one event. */
  readonly steps: number
  readonly partitions: number
  /** Whether records are deleted; otherwise the seed says. */
  readonly deletes?: boolean
}

/**
 * A history of a cluster that keeps Kafka's promises and nothing more: leaders change and what was not safe is gone, requests
 * arrive late, twice or never, clients crash, groups rebalance, and records are deleted from the front.
 */
export function generate(seed: number, extent: Partial<Extent> = {}): readonly HistoryEvent[] {
  const { steps = 600, partitions: count = 2 } = extent
  const recorder = new Recorder(seed)
  const { random } = recorder
  const partitions = Array.from({ length: count }, (_, index) => new SimulatedPartition(`orders-${index}`))
  const group = new SimulatedGroup(recorder, partitions)
  let producers: SimulatedProducer[] = []
  let readers: SimulatedConsumer[] = []
  const drawn = random.chance(0.3)
  const deletes = extent.deletes ?? drawn
  for (let step = 0; step < steps; step++) {
    recorder.wait()
    if (producers.filter(({ isAlive }) => isAlive).length < 3)
      producers.push(new SimulatedProducer(recorder, partitions))
    if (readers.length < 2) readers.push(SimulatedConsumer.reading(recorder, partitions))
    const partition = random.pick(partitions)
    const crashes = random.chance(0.008)
    const kind = random.next()
    if (random.chance(0.2)) partition.highWatermark = random.int(partition.highWatermark, partition.end)
    if (random.chance(0.02)) partition.failOver()
    if (deletes && random.chance(0.005))
      partition.start = random.int(partition.start, partition.highWatermark)
    if (kind < 0.6) {
      const producer = random.pick(producers)
      if (crashes && producer.isAlive) producer.crash()
      else producer.step()
    } else if (kind < 0.75) {
      const reader = random.pick(readers)
      if (crashes) reader.crash()
      else reader.step()
    } else if (crashes) {
      group.crash()
    } else {
      group.step()
    }
    producers = producers.filter(({ isOver }) => !isOver)
    readers = readers.filter(({ isAlive }) => isAlive)
  }
  for (const producer of producers) producer.settle()
  for (const partition of partitions) partition.highWatermark = partition.end
  recorder.wait()
  recorder.wait()
  readAll(recorder, partitions)
  return recorder.events
}
