import type { HistoryEvent, Ok, ReadRecord } from '../event.js'
import type { History } from '../history.js'
import type { Write } from '../operation.js'
import type { PartitionHistory } from '../partition-history.js'
import {
  isFinal,
  type Mutation,
  pickAnd,
  readingOtherwise,
  replaced,
  withEnds,
  withLastRecord,
} from './mutation.js'

interface Placed {
  readonly partition: PartitionHistory
  readonly write: Write
}

const writes = (history: History): Placed[] =>
  [...history.partitions.values()].flatMap((partition) =>
    partition.writes.map((write) => ({ partition, write })),
  )

/** Acknowledged with acks=all, and not deleted since. */
const promised = (history: History): (Placed & { offset: number })[] =>
  writes(history)
    .map(({ partition, write }) => ({ partition, write, offset: write.offset ?? -1 }))
    .filter(({ partition, write, offset }) => write.isPromised && offset >= partition.final!.start)

const isRead = ({ partition, write }: Placed): boolean => partition.readsOf.has(write.invoke.value)

const lastOffset = ({ final }: PartitionHistory): number => Math.max(-1, ...final!.values.keys())

const without = (history: History, { partition, write }: Placed): HistoryEvent[] =>
  readingOtherwise(history, partition.name, (record) => (record[1] === write.invoke.value ? null : record))

/** Everybody sees, and is told, the one where the other was. */
function swapped(history: History, { name }: PartitionHistory, one: Write, other: Write): HistoryEvent[] {
  const offsets = new Map([
    [one.invoke.value, other.offset!],
    [other.invoke.value, one.offset!],
  ])
  const values = new Map([
    [one.offset!, other.invoke.value],
    [other.offset!, one.invoke.value],
  ])
  const swap = ([offset, value]: ReadRecord): ReadRecord => [offset, values.get(offset) ?? value]
  return readingOtherwise(history, name, swap).map((event) => {
    const write = [one, other].find(({ completion }) => completion === event)
    return write === undefined ? event : { ...(event as Ok), offset: offsets.get(write.invoke.value)! }
  })
}

function pairs(
  history: History,
  accept: (one: Write, other: Write) => boolean,
): { partition: PartitionHistory; one: Write; other: Write }[] {
  const all = promised(history).filter(({ partition, write }) => partition.offsetsOf(write).length === 2)
  return all.flatMap(({ partition, write: one }) =>
    all
      .filter((second) => second.partition === partition && second.write !== one && accept(one, second.write))
      .map(({ write: other }) => ({ partition, one, other })),
  )
}

export const writeMutations: readonly Mutation[] = [
  {
    name: 'an acknowledged record is gone',
    finds: 'lost write',
    mutate: (history, random) =>
      pickAnd(
        random,
        promised(history).filter(({ partition, offset }) => offset < lastOffset(partition)),
        (write) => without(history, write),
      ),
  },
  {
    name: 'a record that was acknowledged without an offset is gone',
    finds: 'lost write',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).filter(
          ({ partition, write }) => write.isPromised && write.offset === null && partition.final!.start === 0,
        ),
        (write) => without(history, write),
      ),
  },
  {
    name: 'the last record was acknowledged and is gone',
    finds: 'unseen write',
    mutate: (history, random) =>
      pickAnd(
        random,
        promised(history).filter(({ partition, offset }) => offset === lastOffset(partition)),
        (write) =>
          withEnds(without(history, write), write.partition.name, ([start]) => [start, write.offset]),
      ),
  },
  {
    name: 'a record that a consumer has read is gone at the end',
    finds: 'vanished record',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).filter(({ partition, write }) =>
          (partition.readsOf.get(write.invoke.value) ?? []).some(
            ({ offset, poll }) => offset >= partition.final!.start && !isFinal(history, poll.invoke),
          ),
        ),
        ({ partition, write }) =>
          readingOtherwise(
            history,
            partition.name,
            (record) => (record[1] === write.invoke.value ? null : record),
            (poll) => isFinal(history, poll),
          ),
      ),
  },
  {
    name: 'the end is behind what the final reader read',
    finds: 'final read ends early',
    mutate: (history, random) =>
      pickAnd(random, history.partitions.keys(), (name) =>
        withEnds(history.events, name, ([start, end]) => [start, end + 1]),
      ),
  },
  {
    name: 'a record is read whose send is said to have failed',
    finds: 'failed write read',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).filter((placed) => placed.write.completion !== null && isRead(placed)),
        ({ write: { completion } }) =>
          replaced(
            history,
            new Map<HistoryEvent, HistoryEvent>([
              [
                completion!,
                {
                  type: 'fail',
                  time: completion!.time,
                  client: completion!.client,
                  operation: completion!.operation,
                },
              ],
            ]),
          ),
      ),
  },
  {
    name: 'a record is read that nobody sent',
    finds: 'value from nowhere',
    mutate: (history, random) =>
      pickAnd(random, history.partitions.keys(), (name) => withLastRecord(history, name, 'nobody.0')),
  },
  {
    name: 'a record is read in a partition to which it was not sent',
    finds: 'value in the wrong partition',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).flatMap((placed) =>
          placed.write.outcome === 'info' && !isRead(placed)
            ? [...history.partitions.keys()]
                .filter((name) => name !== placed.partition.name)
                .map((name) => ({ name, value: placed.write.invoke.value }))
            : [],
        ),
        ({ name, value }) => withLastRecord(history, name, value),
      ),
  },
  {
    name: 'a record is read before it is sent',
    finds: 'read before it was written',
    mutate: (history, random) =>
      pickAnd(random, writes(history).filter(isRead), ({ partition, write }) => {
        const { poll } = partition.readsOf.get(write.invoke.value)![0]!
        const late = { time: poll.endedAt + 1, client: 'late' }
        const moved = replaced(history, new Map(write.events.map((event) => [event, null])))
        return [...moved, { ...write.client, ...late }, { ...write.invoke, ...late }].sort(
          (a, b) => a.time - b.time,
        )
      }),
  },
  {
    name: 'a record of an idempotent producer is there twice',
    finds: 'duplicate',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).filter((placed) => placed.write.client.producer!.idempotent && isRead(placed)),
        ({ partition, write }) => withLastRecord(history, partition.name, write.invoke.value),
      ),
  },
  {
    name: 'two readers see two records at one offset',
    finds: 'two values at one offset',
    mutate: (history, random) =>
      pickAnd(
        random,
        writes(history).filter((placed) => placed.write.outcome === 'info' && !isRead(placed)),
        ({ partition, write }) =>
          pickAnd(
            random,
            [...partition.final!.values.keys()].filter((offset) =>
              partition.readsAt.get(offset)!.some(({ poll }) => !isFinal(history, poll.invoke)),
            ),
            (offset) =>
              readingOtherwise(
                history,
                partition.name,
                (record) => (record[0] === offset ? [offset, write.invoke.value] : record),
                (poll) => !isFinal(history, poll),
              ),
          ),
      ),
  },
  {
    name: 'two records are acknowledged at one offset',
    finds: 'two values at one offset',
    mutate: (history, random) =>
      pickAnd(
        random,
        pairs(history, () => true),
        ({ one, other }) =>
          replaced(
            history,
            new Map([[one.completion!, { ...(one.completion as Ok), offset: other.offset! }]]),
          ),
      ),
  },
  {
    name: 'a record is acknowledged at another offset than where it is',
    finds: 'acknowledged elsewhere',
    mutate: (history, random) =>
      pickAnd(random, promised(history).filter(isRead), ({ partition, write }) =>
        pickAnd(
          random,
          Array.from({ length: partition.final!.end }, (_, offset) => offset).filter(
            (offset) => offset >= partition.final!.start && !partition.readsAt.has(offset),
          ),
          (offset) =>
            replaced(history, new Map([[write.completion!, { ...(write.completion as Ok), offset }]])),
        ),
      ),
  },
  {
    name: 'two records of an idempotent producer have changed places',
    finds: 'reordered writes',
    mutate: (history, random) =>
      pickAnd(
        random,
        pairs(history, (one, other) => one.client === other.client && one.client.producer!.idempotent),
        ({ partition, one, other }) => swapped(history, partition, one, other),
      ),
  },
  {
    name: 'a record lies before one that was acknowledged when it was sent',
    finds: 'non-monotonic send',
    mutate: (history, random) =>
      pickAnd(
        random,
        pairs(history, (one, other) => one.endedAt < other.invoke.time),
        ({ partition, one, other }) => swapped(history, partition, one, other),
      ),
  },
]
