import type { Admin, FoundOffset, OffsetSpec } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { Each } from './each.js'
import { Failure } from './failure.js'
import { groupFailure, groupsOf, type GroupsOptions } from './group.js'
import { csvLine, type OffsetRow, readOffsetsCsv } from './offsets-csv.js'
import { printJson, table } from './table.js'
import { placeName, placesOf, type Place } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import { withAdmin } from './with-admin.js'

export interface ResetOffsetsOptions extends GroupsOptions {
  topic?: TopicPartitions[]
  allTopics?: boolean
  toEarliest?: boolean
  toLatest?: boolean
  toCurrent?: boolean
  toOffset?: number
  toDatetime?: number
  byDuration?: number
  shiftBy?: number
  fromFile?: string
  dryRun?: boolean
  execute?: boolean
  export?: boolean
}

interface Reset extends Place {
  readonly currentOffset: number | null
  readonly newOffset: number
}

interface GroupReset {
  readonly groupId: string
  readonly executed: boolean
  readonly offsets: readonly Reset[]
}

/** Shows where groups would go on, and with `--execute` has them go on there, as kafka-consumer-groups does. */
export async function resetOffsets(named: string[], options: ResetOffsetsOptions): Promise<void> {
  checkOptions(options)
  const rows = options.fromFile === undefined ? null : readOffsetsCsv(options.fromFile)
  await withAdmin(options, async (admin) => {
    const groups = await groupsOf(admin, named, options)
    const isSingle = named.length === 1
    const outcome = await Each.of(
      groups,
      (group) => resetGroup(admin, group, rows && rowsOf(rows, group, isSingle), options),
      (error, group) => brokerFailure(groupFailure(error, group), options.broker, options.topic?.[0]?.topic),
    )
    print(outcome.done, isSingle, options)
    if (outcome.done.length > 0 && !options.execute && !options.export && !options.json)
      process.stderr.write('Nothing has been changed; --execute does it.\n')
    outcome.report()
  })
}

function print(resets: readonly GroupReset[], isSingle: boolean, options: ResetOffsetsOptions): void {
  if (options.export) {
    for (const { groupId, offsets } of resets) {
      for (const { topic, partition, newOffset } of offsets)
        process.stdout.write(csvLine([...(isSingle ? [] : [groupId]), topic, partition, newOffset]))
    }
    return
  }
  if (options.json) {
    if (!isSingle || resets.length > 0) printJson(isSingle ? resets[0] : resets)
    return
  }
  if (resets.length === 0) return
  const rows = resets.flatMap(({ groupId, offsets }) => offsets.map((each) => ({ groupId, ...each })))
  process.stdout.write(
    table<(typeof rows)[number]>(
      [
        ...(isSingle ? [] : [{ head: 'GROUP', cell: ({ groupId }: { groupId: string }) => groupId }]),
        { head: 'TOPIC', cell: ({ topic }) => topic },
        { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
        { head: 'CURRENT-OFFSET', right: true, cell: ({ currentOffset }) => currentOffset },
        { head: 'NEW-OFFSET', right: true, cell: ({ newOffset }) => newOffset },
      ],
      rows,
    ),
  )
}

function checkOptions(options: ResetOffsetsOptions): void {
  const { toEarliest, toLatest, toCurrent, toOffset, toDatetime, byDuration, shiftBy, fromFile } = options
  const given = [toEarliest, toLatest, toCurrent, toOffset, toDatetime, byDuration, shiftBy, fromFile].filter(
    (each) => each !== undefined,
  )
  if (given.length !== 1) {
    throw new Failure(
      'say where to with one of --to-earliest, --to-latest, --to-current, --to-offset, --to-datetime, --by-duration, --shift-by and --from-file',
      { exitCode: 2 },
    )
  }
  if (fromFile !== undefined) return
  if ((options.topic === undefined) === (options.allTopics === undefined))
    throw new Failure('say of what: either --topic or --all-topics', { exitCode: 2 })
}

/** The rows about a group; those without one are about the only group that was named. */
function rowsOf(rows: readonly OffsetRow[], group: string, isSingle: boolean): OffsetRow[] {
  return rows.filter((row) => (row.group === null ? isSingle : row.group === group))
}

async function resetGroup(
  admin: Admin,
  group: string,
  rows: readonly OffsetRow[] | null,
  options: ResetOffsetsOptions,
): Promise<GroupReset> {
  const current = await admin.listGroupOffsets(group)
  const places = await placesFor(admin, current, rows, options)
  if (places.length === 0)
    throw new Failure(
      rows === null
        ? `group ${group} has no offsets; name what it reads with --topic`
        : `${options.fromFile} says nothing about group ${group}`,
    )
  const committed = new Map(current.map((each) => [placeName(each), each.offset]))
  const inFile = new Map(rows?.map((row) => [placeName(row), row.offset]))
  const offsets = await resetsOf(admin, places, committed, inFile, options)
  if (options.execute)
    await admin.alterGroupOffsets(
      group,
      offsets.map(({ topic, partition, newOffset }) => ({ topic, partition, offset: newOffset })),
    )
  return { groupId: group, executed: options.execute ?? false, offsets }
}

async function placesFor(
  admin: Admin,
  current: readonly Place[],
  rows: readonly OffsetRow[] | null,
  { topic, allTopics }: ResetOffsetsOptions,
): Promise<readonly Place[]> {
  if (rows !== null) {
    const topics = rows.map((row) => ({ topic: row.topic, partitions: [row.partition] }))
    return await placesOf(admin, topics, '--from-file')
  }
  return allTopics ? current : await placesOf(admin, topic!, '--topic')
}

async function resetsOf(
  admin: Admin,
  places: readonly Place[],
  committed: ReadonlyMap<string, number>,
  inFile: ReadonlyMap<string, number>,
  options: ResetOffsetsOptions,
): Promise<Reset[]> {
  const find = async (timestamp: OffsetSpec): Promise<Map<string, number>> => {
    const found: FoundOffset[] = await admin.listOffsets(
      places.map(({ topic, partition }) => ({ topic, partition, timestamp })),
    )
    return new Map(found.map((each) => [placeName(each), each.offset]))
  }
  const starts = await find('earliest')
  const ends = await find('latest')
  const time = options.byDuration === undefined ? options.toDatetime : Date.now() - options.byDuration
  const times = time === undefined ? new Map<string, number>() : await find(time)
  return places.map(({ topic, partition }) => {
    const at = placeName({ topic, partition })
    const start = starts.get(at)!
    const end = ends.get(at)!
    const current = committed.get(at) ?? null
    const wanted = ((): number => {
      if (options.toEarliest) return start
      if (options.toLatest) return end
      if (options.toOffset !== undefined) return options.toOffset
      if (options.fromFile !== undefined) return inFile.get(at)!
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
