import type { Assigned, HistoryEvent, Ok, PartitionName } from '../event.js'
import type { History } from '../history.js'

/** What somebody saw of a group's committed offset, somewhere between two moments. */
export interface Observation {
  readonly group: string
  readonly partition: PartitionName
  readonly since: number
  readonly until: number
  readonly offset: number | null
  readonly events: readonly HistoryEvent[]
  /** Of a member that began to read there, instead of being told the offset: its name, and where it begins if there is none. */
  readonly start: { readonly client: string; readonly reset: 'earliest' | 'latest' } | null
}

export function* observations(history: History): Iterable<Observation> {
  yield* told(history)
  yield* starts(history)
}

function* told(history: History): Iterable<Observation> {
  for (const { client, invoke, completion, events } of history.committed) {
    if (completion?.type !== 'ok') continue
    for (const [partition, offset] of Object.entries(completion.offsets!))
      yield {
        group: client.consumer!.group!,
        partition,
        since: invoke.time,
        until: completion.time,
        offset,
        events,
        start: null,
      }
  }
}

/** A member asks for the committed offset somewhere between what it did before it was assigned the partition and its first record. */
function* starts(history: History): Iterable<Observation> {
  const waiting = new Map<string, Map<PartitionName, Assigned>>()
  for (const event of history.events) {
    const consumer = history.clients.get(event.client)!.consumer
    if (consumer?.group === undefined) continue
    const mine = waiting.get(event.client) ?? new Map<PartitionName, Assigned>()
    waiting.set(event.client, mine)
    const start = (assigned: Assigned, partition: PartitionName, offset: number): Observation => ({
      group: consumer.group!,
      partition,
      since: history.beforeAssigned.get(assigned)!.time,
      until: event.time,
      offset,
      events: assigned === event ? [assigned] : [assigned, event],
      start: { client: event.client, reset: consumer.reset ?? 'latest' },
    })
    if (event.type === 'seek') mine.delete(event.partition)
    else if (event.type === 'revoked') event.partitions.forEach((partition) => mine.delete(partition))
    else if (event.type === 'assigned') {
      for (const [partition, position] of Object.entries(event.positions)) {
        if (position === null) mine.set(partition, event)
        else yield start(event, partition, position)
      }
    } else if (event.type === 'ok') {
      for (const [partition, offset] of firstOf(event)) {
        const assigned = mine.get(partition)
        if (assigned !== undefined) yield start(assigned, partition, offset)
        mine.delete(partition)
      }
    }
  }
}

/** The first offset that a poll is at in each partition. */
function firstOf({ records, positions }: Ok): Map<PartitionName, number> {
  const first = new Map(Object.entries(positions ?? {}))
  for (const [partition, [record]] of Object.entries(records ?? {}))
    if (record !== undefined) first.set(partition, record[0])
  return first
}
