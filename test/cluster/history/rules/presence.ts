import type { Finding } from '../finding.js'
import type { History } from '../history.js'
import type { Write } from '../operation.js'
import type { PartitionHistory } from '../partition-history.js'

const noPromise = 'without acks=all nobody promised that it stays'

/** What was acknowledged or read must be there at the end. */
export function* presence(history: History): Iterable<Finding> {
  for (const partition of history.partitions.values()) {
    if (partition.final === null) continue
    yield* readToTheEnd(partition)
    for (const write of partition.writes) yield* unread(partition, write)
    yield* vanished(partition)
  }
}

function* readToTheEnd({ name, final }: PartitionHistory): Iterable<Finding> {
  const { end, reached, listed } = final!
  if (reached >= end) return
  yield {
    rule: 'final read ends early',
    subject: name,
    partition: name,
    offset: null,
    what: `the partition ends at ${end}, and the final read got no further than ${reached}: what is lost behind that cannot be told`,
    evidence: listed.events,
  }
}

function* unread(partition: PartitionHistory, write: Write): Iterable<Finding> {
  const { name, final, readsOf } = partition
  const { value } = write.invoke
  const { start, end, values, listed } = final!
  if (write.outcome !== 'ok' || readsOf.has(value)) return
  // Whose offset is not known may have been deleted, if anything was.
  if (write.offset === null ? start > 0 : write.offset < start) return
  const later = partition.firstKnown((write.offset ?? end - 1) + 1, Infinity)
  const acks = `acks=${write.client.producer!.acks}`
  const where = write.offset === null ? '' : ` at offset ${write.offset}`
  const acknowledged = `${JSON.stringify(value)} was acknowledged${where} with ${acks} and nobody ever read it`
  const isLost = later !== null || write.offset === null
  yield {
    rule: isLost ? 'lost write' : 'unseen write',
    subject: name,
    partition: name,
    offset: write.offset,
    what:
      later === null
        ? `${acknowledged}; the partition ends at ${end}`
        : `${acknowledged}, though the final read went on to what is behind it, at ${later}`,
    evidence: [...write.events, ...(later === null ? listed.events : values.get(later)!.poll.events)],
    ...(write.isPromised ? {} : { toleratedBecause: noPromise }),
  }
}

function* vanished({ name, final, readsAt }: PartitionHistory): Iterable<Finding> {
  const { start, end, values, listed } = final!
  for (const [offset, [read]] of readsAt) {
    if (offset < start || values.has(offset)) continue
    yield {
      rule: 'vanished record',
      subject: name,
      partition: name,
      offset,
      what:
        `${read!.poll.client.client} read ${JSON.stringify(read!.value)} at offset ${offset}, and at the end ` +
        (offset < end ? 'nothing is there' : `the partition is over at ${end}`),
      evidence: [...read!.poll.events, ...listed.events],
    }
  }
}
