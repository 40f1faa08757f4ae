import type { Finding } from '../finding.js'
import type { History } from '../history.js'
import type { Write } from '../operation.js'
import type { PartitionHistory } from '../partition-history.js'

/** Offsets follow the order of sends, as far as that is promised. */
export function* order(history: History): Iterable<Finding> {
  for (const partition of history.partitions.values()) {
    yield* ofEachProducer(partition)
    yield* ofTime(partition)
  }
}

/** Those of an idempotent producer are in the order in which it sent them, retries and unknown outcomes included. */
function* ofEachProducer(partition: PartitionHistory): Iterable<Finding> {
  const furthest = new Map<string, { write: Write; offset: number }>()
  for (const write of partition.writes) {
    const { client, producer } = write.client
    const offsets = partition.offsetsOf(write)
    if (!producer!.idempotent || offsets.length === 0) continue
    const before = furthest.get(client)
    if (before !== undefined && Math.min(...offsets) < before.offset)
      yield found('reordered writes', partition, before, { write, offset: Math.min(...offsets) })
    if (before === undefined || Math.max(...offsets) > before.offset)
      furthest.set(client, { write, offset: Math.max(...offsets) })
  }
}

/** What was sent after another record had been acknowledged lies behind it, whoever sent them. */
function* ofTime(partition: PartitionHistory): Iterable<Finding> {
  const ended = partition.writes
    .filter((write) => write.isPromised && write.offset !== null)
    .sort((a, b) => a.endedAt - b.endedAt)
  let next = 0
  let furthest: { write: Write; offset: number } | null = null
  for (const write of [...partition.writes].sort((a, b) => a.invoke.time - b.invoke.time)) {
    for (; next < ended.length && ended[next]!.endedAt < write.invoke.time; next++) {
      const offset = ended[next]!.offset!
      if (furthest === null || offset > furthest.offset) furthest = { write: ended[next]!, offset }
    }
    const offset = Math.min(...partition.offsetsOf(write))
    if (furthest !== null && offset < furthest.offset)
      yield found('non-monotonic send', partition, furthest, { write, offset })
  }
}

function found(
  rule: Finding['rule'],
  { name }: PartitionHistory,
  first: { write: Write; offset: number },
  second: { write: Write; offset: number },
): Finding {
  const told = ({ write, offset }: typeof first): string =>
    `${JSON.stringify(write.invoke.value)} of ${write.client.client} is at offset ${offset}`
  const when =
    rule === 'reordered writes' ? 'which was sent later' : 'which was sent when that was acknowledged'
  return {
    rule,
    subject: name,
    partition: name,
    offset: second.offset,
    what: `${told(first)}, and ${told(second)}, ${when}`,
    evidence: [...first.write.events, ...second.write.events],
  }
}
