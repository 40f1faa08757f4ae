import type { Assigned, Commit, Committed, HistoryEvent, Ok, PartitionName } from '../event.js'
import type { History } from '../history.js'
import type { Operation } from '../operation.js'
import { isFinal, type Mutation, pickAnd, pollsOf, type Records, replaced, withRecords } from './mutation.js'

interface Polled {
  readonly name: PartitionName
  readonly poll: Ok
  readonly records: Records
  /** What its client read of the partition in the poll before, if nothing but that poll put it there. */
  readonly before: Records | null
  /** The assignment behind which it is the first poll of the partition, if it did not tell where. */
  readonly assigned: Assigned | null
}

/** What others than the final reader polled. */
function polls(history: History): Polled[] {
  return [...history.partitions.keys()].flatMap((name) => {
    const returned = new Set(pollsOf(history, name))
    const before = new Map<string, Records>()
    const assigned = new Map<string, Assigned>()
    const all: Polled[] = []
    for (const event of history.events) {
      const { client } = event
      if (event.type === 'seek' || event.type === 'assigned' || event.type === 'revoked') {
        before.delete(client)
        assigned.delete(client)
        if (event.type === 'assigned' && event.positions[name] === null) assigned.set(client, event)
      } else if (event.type === 'ok' && returned.has(event)) {
        const records = event.records![name]!
        if (!isFinal(history, event))
          all.push({
            name,
            poll: event,
            records,
            before: before.get(client) ?? null,
            assigned: assigned.get(client) ?? null,
          })
        before.set(client, records)
        assigned.delete(client)
      } else if (event.type === 'ok' && event.positions !== undefined && name in event.positions) {
        assigned.delete(client)
      }
    }
    return all
  })
}

const withPoll = (history: History, { name, poll }: Polled, records: Records): HistoryEvent[] =>
  replaced(history, new Map([[poll, withRecords(poll, name, records)]]))

/** Whether the record is still there at the end, so that nobody may pass it. */
const isKept = (history: History, name: PartitionName, offset: number): boolean =>
  history.partition(name).firstKnown(offset, offset + 1) !== null

const isStartOfMember = (history: History, { assigned }: Polled): boolean =>
  assigned !== null && history.clients.get(assigned.client)!.consumer?.group !== undefined

function committedOtherwise(
  history: History,
  read: Operation<Committed>,
  partition: PartitionName,
  offset: number | null,
): HistoryEvent[] {
  const told = read.completion as Ok
  return replaced(history, new Map([[told, { ...told, offsets: { ...told.offsets, [partition]: offset } }]]))
}

/** What members were told of committed offsets, and the commits that were over before they asked. */
function told(history: History) {
  return history.committed.flatMap((read) =>
    read.completion?.type !== 'ok'
      ? []
      : Object.keys(read.completion.offsets!).map((partition) => ({
          read,
          partition,
          done: history.commits.filter(
            ({ outcome, endedAt, invoke }) =>
              outcome === 'ok' && endedAt < read.invoke.time && partition in invoke.offsets,
          ),
        })),
  )
}

/** Commits from which on no other has gone back behind what it replaced. */
function superseded(
  history: History,
  partition: PartitionName,
  done: readonly Operation<Commit>[],
): number[] {
  const last = Math.max(...done.map(({ invoke }) => invoke.time))
  const stillPossible = new Set(
    history.commits
      .filter(({ outcome, endedAt }) => outcome !== 'fail' && endedAt >= last)
      .map(({ invoke }) => invoke.offsets[partition]),
  )
  return done
    .filter(({ endedAt }) => endedAt < last)
    .map(({ invoke }) => invoke.offsets[partition]!)
    .filter((offset) => !stillPossible.has(offset))
}

export const readerMutations: readonly Mutation[] = [
  {
    name: 'a poll returns its last record twice',
    finds: 'poll goes back within',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter(({ records }) => records.length > 0),
        (polled) => withPoll(history, polled, [...polled.records, polled.records.at(-1)!]),
      ),
  },
  {
    name: 'two records of a poll have changed places',
    finds: 'poll goes back within',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter(({ records }) => records.length > 1),
        (polled) =>
          withPoll(history, polled, [polled.records[1]!, polled.records[0]!, ...polled.records.slice(2)]),
      ),
  },
  {
    name: 'a poll begins with the last record of the poll before',
    finds: 'poll goes back',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter(({ before }) => before !== null && before.length > 0),
        (polled) => withPoll(history, polled, [polled.before!.at(-1)!, ...polled.records]),
      ),
  },
  {
    name: 'a poll leaves out a record between two others',
    finds: 'poll skips within',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter(
          ({ name, records }) => records.length > 2 && isKept(history, name, records[1]![0]),
        ),
        (polled) => withPoll(history, polled, [polled.records[0]!, ...polled.records.slice(2)]),
      ),
  },
  {
    name: 'a poll leaves out the record behind those of the poll before',
    finds: 'poll skips',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter(
          ({ name, records, before }) =>
            before !== null &&
            before.length > 0 &&
            records.length > 1 &&
            isKept(history, name, records[0]![0]),
        ),
        (polled) => withPoll(history, polled, polled.records.slice(1)),
      ),
  },
  {
    name: 'the committed offset is one that another commit has replaced',
    finds: 'committed offset goes back',
    mutate: (history, random) =>
      pickAnd(
        random,
        told(history).flatMap(({ read, partition, done }) =>
          superseded(history, partition, done).map((offset) => ({ read, partition, offset })),
        ),
        ({ read, partition, offset }) => committedOtherwise(history, read, partition, offset),
      ),
  },
  {
    name: 'the committed offset is forgotten',
    finds: 'committed offset goes back',
    mutate: (history, random) =>
      pickAnd(
        random,
        told(history).filter(({ done }) => done.length > 0),
        ({ read, partition }) => committedOtherwise(history, read, partition, null),
      ),
  },
  {
    name: 'the committed offset is one that nobody committed',
    finds: 'offset that nobody committed',
    mutate: (history, random) =>
      pickAnd(random, told(history), ({ read, partition }) =>
        committedOtherwise(history, read, partition, 1_000_000),
      ),
  },
  {
    name: 'a member begins at the first record of all',
    finds: 'group goes back',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter((polled) => {
          const { name, assigned, records } = polled
          if (!isStartOfMember(history, polled) || records.length === 0) return false
          const since = history.beforeAssigned.get(assigned!)!.time
          const first = history.partition(name).firstKnown(0, records[0]![0])
          const commits = history.commits.filter(({ invoke }) => name in invoke.offsets)
          return (
            first !== null &&
            commits.some(({ outcome, endedAt }) => outcome === 'ok' && endedAt < since) &&
            commits.every(({ invoke, outcome }) => outcome === 'fail' || invoke.offsets[name]! > first)
          )
        }),
        (polled) => {
          const { name, records } = polled
          const values = history.partition(name).final!.values
          const earlier = [...values.keys()].filter((offset) => offset < records[0]![0]).sort((a, b) => a - b)
          return withPoll(history, polled, [
            ...earlier.map((offset) => [offset, values.get(offset)!.value] as const),
            ...records,
          ])
        },
      ),
  },
  {
    name: 'a member begins behind a record that its group has not read',
    finds: 'group skips',
    mutate: (history, random) =>
      pickAnd(
        random,
        polls(history).filter((polled) => {
          const { name, poll, records } = polled
          return (
            isStartOfMember(history, polled) &&
            records.length > 1 &&
            isKept(history, name, records[0]![0]) &&
            !history.commits.some(
              ({ invoke }) => invoke.time <= poll.time && invoke.offsets[name]! > records[0]![0],
            )
          )
        }),
        (polled) => withPoll(history, polled, polled.records.slice(1)),
      ),
  },
  {
    name: 'a commit of a generation that is over is accepted',
    finds: 'commit of an old generation',
    mutate: (history, random) =>
      pickAnd(
        random,
        history.commits.filter(({ outcome, invoke, client }) =>
          history.events.some(
            (event) =>
              event.type === 'assigned' &&
              event.client === client.client &&
              event.generation === invoke.generation &&
              event.time < invoke.time &&
              outcome === 'ok',
          ),
        ),
        ({ invoke }) =>
          replaced(history, new Map([[invoke, { ...invoke, generation: invoke.generation! - 1 }]])),
      ),
  },
  {
    name: 'two members own one partition',
    finds: 'two owners in one generation',
    mutate: (history, random) => {
      const assigned = history.events.filter((event) => event.type === 'assigned')
      return pickAnd(
        random,
        assigned.flatMap((one) =>
          assigned
            .filter(
              (other) =>
                one.generation !== undefined &&
                other.generation === one.generation &&
                other.client !== one.client &&
                Object.keys(other.positions).length > 0,
            )
            .map((other) => ({ one, name: Object.keys(other.positions)[0]! })),
        ),
        ({ one, name }) =>
          replaced(history, new Map([[one, { ...one, positions: { ...one.positions, [name]: null } }]])),
      )
    },
  },
]
