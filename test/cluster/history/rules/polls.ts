import type { HistoryEvent, Ok, PartitionName } from '../event.js'
import type { Finding } from '../finding.js'
import type { History } from '../history.js'

interface Position {
  readonly next: number
  /** What put the consumer there. */
  readonly since: HistoryEvent
}

/** A consumer reads one record after the other, unless it seeks or is assigned the partition anew. */
export function* polls(history: History): Iterable<Finding> {
  const consumers = new Map<string, Map<PartitionName, Position>>()
  const place = (since: HistoryEvent, partition: PartitionName, next: number | null): void => {
    if (next === null) consumers.get(since.client)!.delete(partition)
    else consumers.get(since.client)!.set(partition, { next, since })
  }
  for (const event of history.events) {
    if (event.type === 'start') consumers.set(event.client, new Map())
    else if (event.type === 'seek') place(event, event.partition, event.offset)
    else if (event.type === 'revoked') event.partitions.forEach((partition) => place(event, partition, null))
    else if (event.type === 'assigned')
      for (const [partition, position] of Object.entries(event.positions)) place(event, partition, position)
    else if (event.type === 'ok' && event.records !== undefined)
      yield* polled(history, event, consumers.get(event.client)!)
  }
}

function* polled(history: History, poll: Ok, positions: Map<PartitionName, Position>): Iterable<Finding> {
  for (const [name, records] of Object.entries(poll.records!)) {
    let { next, since } = positions.get(name) ?? { next: null, since: poll }
    for (const [offset] of records) {
      if (next !== null && next !== offset) yield* moved(history, poll, name, { next, since }, offset)
      next = offset + 1
      since = poll
    }
    if (next !== null) positions.set(name, { next, since })
  }
  for (const [name, next] of Object.entries(poll.positions ?? {})) {
    const position = positions.get(name)
    if (position !== undefined && position.next !== next) yield* moved(history, poll, name, position, next)
    positions.set(name, { next, since: poll })
  }
}

function* moved(
  history: History,
  poll: Ok,
  name: PartitionName,
  { next, since }: Position,
  offset: number,
): Iterable<Finding> {
  const within = since === poll
  const events = [history.operationOf(poll).invoke, poll]
  const found = (rule: Finding['rule'], at: number, what: string): Finding => ({
    rule,
    subject: name,
    partition: name,
    offset: at,
    what: `${poll.client} came to ${next}, and then ${within ? 'in the same poll' : 'in its next poll'} ${what}`,
    evidence: within ? events : [since, ...events],
  })
  if (offset < next)
    yield found(within ? 'poll goes back within' : 'poll goes back', offset, `went back to ${offset}`)
  const skipped = history.partition(name).firstKnown(next, offset)
  if (skipped !== null)
    yield found(
      within ? 'poll skips within' : 'poll skips',
      skipped,
      `went on at ${offset}, though there is a record at ${skipped}`,
    )
}
