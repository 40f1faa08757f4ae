import type { Finding } from '../finding.js'
import type { History } from '../history.js'
import type { Write } from '../operation.js'
import type { PartitionHistory } from '../partition-history.js'

/** An offset belongs to one record, for everybody and for good, also for who was told it by an acknowledgement. */
export function* offsets(history: History): Iterable<Finding> {
  for (const partition of history.partitions.values()) {
    const promised = new Map<number, Write>()
    for (const write of partition.writes) {
      if (!write.isPromised || write.offset === null) continue
      yield* disagreement(partition, promised, write)
      yield* elsewhere(partition, write)
    }
    for (const [offset, [one, other]] of partition.readsAt) {
      if (other === undefined) continue
      yield {
        rule: 'two values at one offset',
        subject: partition.name,
        partition: partition.name,
        offset,
        what:
          `${one!.poll.client.client} read ${JSON.stringify(one!.value)} at offset ${offset}, ` +
          `${other.poll.client.client} read ${JSON.stringify(other.value)} there`,
        evidence: [...one!.poll.events, ...other.poll.events],
      }
    }
  }
}

function* disagreement(
  { name, readsAt }: PartitionHistory,
  promised: Map<number, Write>,
  write: Write,
): Iterable<Finding> {
  const offset = write.offset!
  const acknowledged = `${JSON.stringify(write.invoke.value)} was acknowledged at offset ${offset}`
  const found = (what: string, events: Finding['evidence']): Finding => ({
    rule: 'two values at one offset',
    subject: name,
    partition: name,
    offset,
    what: `${acknowledged}, ${what}`,
    evidence: [...write.events, ...events],
  })
  const before = promised.get(offset)
  promised.set(offset, write)
  if (before !== undefined) yield found(`and so was ${JSON.stringify(before.invoke.value)}`, before.events)
  const read = readsAt.get(offset)?.find(({ value }) => value !== write.invoke.value)
  if (read !== undefined)
    yield found(`and ${read.poll.client.client} read ${JSON.stringify(read.value)} there`, read.poll.events)
}

function* elsewhere({ name, readsOf, final }: PartitionHistory, write: Write): Iterable<Finding> {
  const offset = write.offset!
  const reads = readsOf.get(write.invoke.value)
  if (reads === undefined || reads.some((read) => read.offset === offset)) return
  // A retry may have left the record at another offset as well, so that only who has read everything knows.
  const isJudged =
    write.client.producer!.idempotent || (final !== null && final.start <= offset && offset < final.end)
  if (!isJudged) return
  const [{ poll, offset: seenAt }] = reads as [(typeof reads)[number]]
  yield {
    rule: 'acknowledged elsewhere',
    subject: name,
    partition: name,
    offset: seenAt,
    what: `${JSON.stringify(write.invoke.value)} was acknowledged at offset ${offset}, and ${poll.client.client} read it at ${seenAt}`,
    evidence: [...write.events, ...poll.events],
  }
}
