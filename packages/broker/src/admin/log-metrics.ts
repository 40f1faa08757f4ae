import { Counter, Gauge, type Registry } from 'prom-client'
import type { Partition } from '../partition.js'
import type { Topics } from '../topics.js'

/**
 * Registers what the logs say of themselves.
 *
 * @returns looks at each log once, for all of it; to be called for each scrape
 */
export function logMetrics(registry: Registry, topics: Topics): () => void {
  const registers = [registry]
  const labelNames = ['topic', 'partition'] as const
  const perPartition = (name: string, help: string): Gauge<'topic' | 'partition'> =>
    new Gauge({ name, help, labelNames, registers })
  const perTopic = (name: string, help: string): Counter<'topic'> =>
    new Counter({ name, help, labelNames: ['topic'], registers })
  const messagesIn = perTopic(
    'kafka_server_brokertopicmetrics_messagesin_total',
    'Records that were produced since the start.',
  )
  const bytesIn = perTopic(
    'kafka_server_brokertopicmetrics_bytesin_total',
    'Bytes that were produced since the start.',
  )
  // As in Kafka, of all topics together only.
  const replicationBytesIn = new Counter({
    name: 'kafka_server_brokertopicmetrics_replicationbytesin_total',
    help: 'Bytes that followers here have appended since the start.',
    registers,
  })
  const size = perPartition('kafka_log_log_size', 'Bytes of segments.')
  const segments = perPartition('kafka_log_log_numlogsegments', 'Segments.')
  const startOffset = perPartition('kafka_log_log_logstartoffset', 'The first offset.')
  const endOffset = perPartition('kafka_log_log_logendoffset', 'The offset of the next record.')
  const flushes = new Counter({
    name: 'kafka_log_logflushstats_logflushrateandtimems_count',
    help: 'Flushes since the start.',
    registers,
  })
  const flushSeconds = new Counter({
    name: 'varve_log_flush_seconds_total',
    help: 'How long they took, all together.',
    registers,
  })
  const slowest = new Gauge({
    name: 'varve_log_flush_p99_seconds',
    help: 'Of the log whose flushes take longest: 99 % of its flushes took at most this.',
    registers,
  })
  const grown = new Growth()
  let [records, bytes] = [0, 0]
  const ofTopics = [messagesIn, bytesIn, size, segments, startOffset, endOffset]
  return () => {
    // Of topics that are no more nothing is told.
    for (const metric of ofTopics) metric.reset()
    let p99 = 0
    for (const topic of topics.all()) {
      for (const partition of topic.partitions) {
        const labels = { topic: topic.name, partition: String(partition.index) }
        const { stats, traffic } = partition
        if (stats === null) continue
        startOffset.set(labels, partition.logStartOffset)
        endOffset.set(labels, partition.logEndOffset)
        size.set(labels, stats.segments.bytes)
        segments.set(labels, stats.segments.count)
        messagesIn.inc({ topic: topic.name }, traffic.messagesIn)
        bytesIn.inc({ topic: topic.name }, traffic.bytesIn)
        const { flushMs } = stats.flush
        const [flushed, microseconds, messages, producedBytes, replicatedBytes] = grown.of(partition, [
          flushMs.count,
          Math.round(flushMs.count * flushMs.mean * 1000),
          traffic.messagesIn,
          traffic.bytesIn,
          traffic.replicationBytesIn,
        ])
        flushes.inc(flushed)
        flushSeconds.inc(microseconds! / 1e6)
        records += messages!
        bytes += producedBytes!
        replicationBytesIn.inc(replicatedBytes)
        p99 = Math.max(p99, flushMs.p99)
      }
    }
    slowest.set(p99 / 1000)
    // Without a label: of all topics, deleted ones too.
    messagesIn.inc(records)
    bytesIn.inc(bytes)
  }
}

/** How much totals of single logs have grown, so that a sum over all keeps what a deleted one had. */
class Growth {
  readonly #last = new WeakMap<Partition, readonly number[]>()

  /** @param totals whole numbers */
  of(partition: Partition, totals: readonly number[]): number[] {
    const last = this.#last.get(partition) ?? []
    this.#last.set(partition, totals)
    // A log that was opened again counts from the beginning.
    return totals.map((total, index) => {
      const before = last[index] ?? 0
      return total < before ? total : total - before
    })
  }
}
