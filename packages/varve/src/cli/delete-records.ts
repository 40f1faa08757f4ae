import { readFileSync } from 'node:fs'
import type { Admin, RecordDeletion } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { Each } from './each.js'
import { Failure } from './failure.js'
import { printJson, table } from './table.js'
import { placeName, placesOf } from './topic-places.js'
import type { From, TopicPartitions } from './values.js'
import { kafkaNameOf, withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface DeleteRecordsOptions extends AdminCommandOptions {
  before?: Exclude<From, { at: 'earliest' }>
  offsetJsonFile?: string
}

/** Deletes what lies before an offset of each partition, as kafka-delete-records does. */
export async function deleteRecords(
  topics: readonly TopicPartitions[],
  options: DeleteRecordsOptions,
): Promise<void> {
  const { before, offsetJsonFile } = options
  if ((offsetJsonFile === undefined) === (topics.length === 0))
    throw new Failure('say what to delete: topics and --before, or --offset-json-file', { exitCode: 2 })
  if (topics.length > 0 && before === undefined)
    throw new Failure('say up to where to delete with --before: an offset, a time or latest', { exitCode: 2 })
  await withAdmin(
    options,
    async (admin) => {
      const deletions =
        offsetJsonFile === undefined ? await deletionsOf(admin, topics, before!) : deletionsIn(offsetJsonFile)
      const byName = new Map(deletions.map((each) => [placeName(each), each]))
      const outcome = await Each.of(
        [...byName.keys()],
        async (name) => (await admin.deleteRecords([byName.get(name)!]))[0]!,
        (error, name) => explained(error, name, options),
      )
      if (options.json) printJson({ deleted: outcome.done, failed: outcome.failed })
      else if (outcome.done.length > 0) {
        process.stdout.write(
          table(
            [
              { head: 'TOPIC', cell: ({ topic }) => topic },
              { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
              { head: 'START', right: true, cell: ({ logStartOffset }) => logStartOffset },
            ],
            outcome.done,
          ),
        )
      }
      outcome.report()
    },
    topics[0]?.topic,
  )
}

function explained(error: unknown, name: string, { broker }: DeleteRecordsOptions): unknown {
  if (kafkaNameOf(error) === 'OFFSET_OUT_OF_RANGE')
    return new Failure(`${name} has no such offset yet. varve offsets shows where it ends`, { cause: error })
  return brokerFailure(error, broker)
}

async function deletionsOf(
  admin: Admin,
  topics: readonly TopicPartitions[],
  before: NonNullable<DeleteRecordsOptions['before']>,
): Promise<RecordDeletion[]> {
  const places = await placesOf(admin, topics, 'the topic')
  if (before.at === 'offset') return places.map((place) => ({ ...place, before: before.offset }))
  if (before.at === 'latest') return places.map((place) => ({ ...place, before: 'latest' }))
  const found = await admin.listOffsets(places.map((place) => ({ ...place, timestamp: before.timestamp })))
  // Where no record is as late as that, all are from before.
  return found.map(({ topic, partition, offset }) => ({
    topic,
    partition,
    before: offset < 0 ? 'latest' : offset,
  }))
}

/** The file of kafka-delete-records: `{"partitions": [{"topic": "a", "partition": 0, "offset": 5}]}`; −1 deletes all. */
function deletionsIn(path: string): RecordDeletion[] {
  let parsed: { partitions?: unknown }
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8')) as { partitions?: unknown }
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}. Check --offset-json-file`, {
      cause: error,
    })
  }
  const rows = parsed?.partitions
  if (!Array.isArray(rows)) throw new Failure(`${path} has no list "partitions". Check --offset-json-file`)
  return rows.map((row: { topic?: unknown; partition?: unknown; offset?: unknown } | null) => {
    const { topic, partition, offset } = row ?? {}
    const isWhole = (value: unknown, least: number): value is number =>
      Number.isSafeInteger(value) && (value as number) >= least
    if (typeof topic !== 'string' || !isWhole(partition, 0) || !isWhole(offset, -1))
      throw new Failure(
        `${path} has ${JSON.stringify(row)} where it must be such as {"topic":"orders","partition":0,"offset":5}`,
      )
    return { topic, partition, before: offset === -1 ? 'latest' : offset }
  })
}
