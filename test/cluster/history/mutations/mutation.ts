import type { Random } from '../../../../packages/replication/test/simulation/random.js'
import type { HistoryEvent, Ok, PartitionName, ReadRecord, Start } from '../event.js'
import type { RuleName } from '../finding.js'
import type { History } from '../history.js'

/** Something that must not be, put into a history in which all is well. */
export interface Mutation {
  readonly name: string
  readonly finds: RuleName
  /** null where the history has nothing that could be spoilt so. */
  readonly mutate: (history: History, random: Random) => readonly HistoryEvent[] | null
}

export type Records = readonly ReadRecord[]

/** Picks one of what fits, and does something with it. */
export function pickAnd<Item>(
  random: Random,
  items: Iterable<Item>,
  change: (item: Item) => readonly HistoryEvent[] | null,
): readonly HistoryEvent[] | null {
  const all = [...items]
  return all.length === 0 ? null : change(random.pick(all))
}

/** The same history with other events in the place of some. */
export function replaced(
  { events }: History,
  by: ReadonlyMap<HistoryEvent, HistoryEvent | null>,
): HistoryEvent[] {
  return events.flatMap((event) => (by.has(event) ? (by.get(event) ?? []) : event))
}

/** The polls that returned records of a partition, or were asked for some. */
export function pollsOf(history: History, partition: PartitionName): Ok[] {
  return history.events.filter(
    (event): event is Ok => event.type === 'ok' && event.records?.[partition] !== undefined,
  )
}

export const isFinal = (history: History, { client }: HistoryEvent): boolean =>
  history.clients.get(client)!.consumer?.final === true

/** A poll that returned other records of a partition. */
export const withRecords = (poll: Ok, partition: PartitionName, records: Records): Ok => ({
  ...poll,
  records: { ...poll.records, [partition]: records },
})

/** Everybody, or all for whom it holds, sees other records; null for none. */
export function readingOtherwise(
  history: History,
  partition: PartitionName,
  change: (record: ReadRecord) => ReadRecord | null,
  who: (poll: Ok) => boolean = () => true,
): HistoryEvent[] {
  const changed = pollsOf(history, partition)
    .filter(who)
    .map((poll): [Ok, Ok] => [
      poll,
      withRecords(
        poll,
        partition,
        poll.records![partition]!.flatMap((record) => {
          const other = change(record)
          return other === null ? [] : [other]
        }),
      ),
    ])
  return replaced(history, new Map(changed))
}

/** The log is one record longer, and the final reader sees which. */
export function withLastRecord(
  history: History,
  partition: PartitionName,
  value: string,
): HistoryEvent[] | null {
  const last = pollsOf(history, partition).findLast((poll) => isFinal(history, poll))
  if (last === undefined) return null
  const { end } = history.partition(partition).final!
  const longer = withRecords(last, partition, [...last.records![partition]!, [end, value]])
  const positions = { ...last.positions, [partition]: end + 1 }
  return withEnds(replaced(history, new Map([[last, { ...longer, positions }]])), partition, ([start]) => [
    start,
    end + 1,
  ])
}

/** The final reader is told other ends of a partition. */
export function withEnds(
  events: readonly HistoryEvent[],
  partition: PartitionName,
  change: (ends: readonly [number, number]) => readonly [number, number],
): HistoryEvent[] {
  return events.map((event) =>
    event.type === 'ok' && event.ends?.[partition] !== undefined
      ? { ...event, ends: { ...event.ends, [partition]: change(event.ends[partition]) } }
      : event,
  )
}

/** Some clients are said to have been started otherwise. */
export const startedOtherwise = ({ events }: History, change: (start: Start) => Start): HistoryEvent[] =>
  events.map((event) => (event.type === 'start' ? change(event) : event))
