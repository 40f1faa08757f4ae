import type { Finding } from '../finding.js'
import type { History } from '../history.js'
import type { PartitionHistory, Read } from '../partition-history.js'

/** What is read must have been written, there, before, and once. */
export function* values(history: History): Iterable<Finding> {
  for (const partition of history.partitions.values()) {
    for (const [value, reads] of partition.readsOf) {
      const [read] = reads
      const found = origin(history, partition, value, read!)
      if (found !== null) yield found
      if (reads.length > 1) yield duplicate(history, partition, value, reads)
    }
  }
}

function origin(
  history: History,
  { name }: PartitionHistory,
  value: string,
  { offset, poll }: Read,
): Finding | null {
  const write = history.writes.get(value)
  const seen = `${poll.client.client} read ${JSON.stringify(value)} at offset ${offset}`
  const found = (rule: Finding['rule'], what: string): Finding => ({
    rule,
    subject: name,
    partition: name,
    offset,
    what: `${seen}${what}`,
    evidence: [...(write?.events ?? []), ...poll.events],
  })
  if (write === undefined) return found('value from nowhere', ', which nobody sent')
  const { client, invoke } = write
  if (invoke.partition !== name)
    return found('value in the wrong partition', `, which ${client.client} sent to ${invoke.partition}`)
  if (write.outcome === 'fail')
    return found('failed write read', `, which ${client.client} was told had failed for good`)
  if (poll.endedAt < invoke.time)
    return found('read before it was written', `, before ${client.client} sent it`)
  return null
}

function duplicate(
  history: History,
  { name }: PartitionHistory,
  value: string,
  reads: readonly Read[],
): Finding {
  const write = history.writes.get(value)
  const offsets = reads.map(({ offset }) => offset)
  return {
    rule: 'duplicate',
    subject: name,
    partition: name,
    offset: offsets[1]!,
    what: `${JSON.stringify(value)} is at the offsets ${offsets.join(' and ')}`,
    evidence: [...(write?.events ?? []), ...reads.slice(0, 2).flatMap(({ poll }) => poll.events)],
    ...(write?.client.producer!.idempotent === false
      ? { toleratedBecause: 'a producer that is not idempotent may send again what has arrived' }
      : {}),
  }
}
