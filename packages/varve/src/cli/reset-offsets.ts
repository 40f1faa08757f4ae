import type { Admin, FoundOffset, OffsetSpec } from '@varve/client'
import { Failure } from './failure.js'
import { withGroup } from './group.js'
import { printJson, table } from './table.js'
import type { TopicPartitions } from './values.js'
import type { AdminCommandOptions } from './with-admin.js'

export interface ResetOffsetsOptions extends AdminCommandOptions {
  topic?: TopicPartitions[]
  allTopics?: boolean
  toEarliest?: boolean
  toLatest?: boolean
  toCurrent?: boolean
  toOffset?: number
  toDatetime?: number
  byDuration?: number
  shiftBy?: number
  execute?: boolean
}

interface Place {
  readonly topic: string
  readonly partition: number
}

interface Reset extends Place {
  readonly currentOffset: number | null
  readonly newOffset: number
}

const key = ({ topic, partition }: Place): string => `${topic}-${partition}`

/** Shows where the group would go on, and with `--execute` has it go on there, as kafka-consumer-groups does. */
export async function resetOffsets(group: string, options: ResetOffsetsOptions): Promise<void> {
  checkOptions(options)
  await withGroup(group, options, async (admin) => {
    const current = await admin.listGroupOffsets(group)
    const places = options.allTopics ? current : await placesOf(admin, options.topic!)
    if (places.length === 0)
      throw new Failure(`group ${group} has no offsets; name what it reads with --topic`)
    const committed = new Map(current.map((each) => [key(each), each.offset]))
    const resets = await resetsOf(admin, places, committed, options)
    if (options.execute)
      await admin.alterGroupOffsets(
        group,
        resets.map(({ topic, partition, newOffset }) => ({ topic, partition, offset: newOffset })),
      )
    if (options.json)
      return printJson({ groupId: group, executed: options.execute ?? false, offsets: resets })
    process.stdout.write(
      table<Reset>(
        [
          { head: 'TOPIC', cell: ({ topic }) => topic },
          { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
          { head: 'CURRENT-OFFSET', right: true, cell: ({ currentOffset }) => currentOffset },
          { head: 'NEW-OFFSET', right: true, cell: ({ newOffset }) => newOffset },
        ],
        resets,
      ),
    )
    if (!options.execute) process.stderr.write('Nothing has been changed; --execute does it.\n')
  })
}

function checkOptions(options: ResetOffsetsOptions): void {
  const { toEarliest, toLatest, toCurrent, toOffset, toDatetime, byDuration, shiftBy } = options
  const given = [toEarliest, toLatest, toCurrent, toOffset, toDatetime, byDuration, shiftBy].filter(
    (each) => each !== undefined,
  )
  if (given.length !== 1) {
    throw new Failure(
      'say where to with one of --to-earliest, --to-latest, --to-current, --to-offset, --to-datetime, --by-duration and --shift-by',
      { exitCode: 2 },
    )
  }
  if ((options.topic === undefined) === (options.allTopics === undefined))
    throw new Failure('say of what: either --topic or --all-topics', { exitCode: 2 })
}

async function placesOf(admin: Admin, topics: readonly TopicPartitions[]): Promise<Place[]> {
  const described = await admin.describeTopics(topics.map(({ topic }) => topic))
  return topics.flatMap(({ topic, partitions }, index) => {
    const count = described[index]!.partitions.length
    const wanted = partitions ?? Array.from({ length: count }, (_, number) => number)
    for (const partition of wanted) {
      if (partition >= count)
        throw new Failure(
          `${topic} has no partition ${partition}: it has ${count}, numbered from 0. Check --topic`,
        )
    }
    return wanted.map((partition) => ({ topic, partition }))
  })
}

async function resetsOf(
  admin: Admin,
  places: readonly Place[],
  committed: ReadonlyMap<string, number>,
  options: ResetOffsetsOptions,
): Promise<Reset[]> {
  const find = async (timestamp: OffsetSpec): Promise<Map<string, number>> => {
    const found: FoundOffset[] = await admin.listOffsets(
      places.map(({ topic, partition }) => ({ topic, partition, timestamp })),
    )
    return new Map(found.map((each) => [key(each), each.offset]))
  }
  const starts = await find('earliest')
  const ends = await find('latest')
  const time = options.byDuration === undefined ? options.toDatetime : Date.now() - options.byDuration
  const times = time === undefined ? new Map<string, number>() : await find(time)
  return places.map(({ topic, partition }) => {
    const at = key({ topic, partition })
    const start = starts.get(at)!
    const end = ends.get(at)!
    const current = committed.get(at) ?? null
    const wanted = ((): number => {
      if (options.toEarliest) return start
      if (options.toLatest) return end
      if (options.toOffset !== undefined) return options.toOffset
      // Without a record as late as that, the group goes on with what comes.
      if (time !== undefined) return times.get(at)! < 0 ? end : times.get(at)!
      // Kafka's tool takes the end where nothing has been committed.
      if (options.toCurrent) return current ?? end
      if (current !== null) return current + options.shiftBy!
      throw new Failure(`nothing has been committed for ${at}, so that there is nothing to shift`)
    })()
    return { topic, partition, currentOffset: current, newOffset: Math.min(Math.max(wanted, start), end) }
  })
}
