import type { Admin } from '@varve/client'
import { Failure } from './failure.js'
import type { From } from './values.js'

/** What to read of a partition: from `offset` on, and `end` is where the partition ended when it was asked. */
export interface Range {
  readonly partition: number
  readonly offset: number
  readonly end: number
}

function chosen(topic: string, count: number, partition: number | undefined): number[] {
  if (partition === undefined) return Array.from({ length: count }, (_, index) => index)
  if (partition < count) return [partition]
  throw new Failure(
    `${topic} has no partition ${partition}: it has ${count === 1 ? 'one, number 0' : `${count}, from 0 to ${count - 1}`}. Check --partition`,
  )
}

/** Looks up where reading begins and where the topic ends now, for one partition or all of them. */
export async function rangesOf(
  admin: Admin,
  topic: string,
  from: From,
  partition: number | undefined,
): Promise<Range[]> {
  const [description] = await admin.describeTopics([topic])
  const partitions = chosen(topic, description!.partitions.length, partition)
  const offsets = async (timestamp: number | 'earliest' | 'latest'): Promise<number[]> => {
    const found = await admin.listOffsets(
      partitions.map((number) => ({ topic, partition: number, timestamp })),
    )
    return found.map(({ offset }) => offset)
  }
  const ends = await offsets('latest')
  const starts =
    from.at === 'time'
      ? await offsets(from.timestamp)
      : await offsets(from.at === 'latest' ? 'latest' : 'earliest')
  return partitions.map((number, index) => {
    const end = ends[index]!
    // No record is as late as the time asked for.
    const start = starts[index]! < 0 ? end : starts[index]!
    if (from.at !== 'offset') return { partition: number, offset: start, end }
    if (from.offset < start || from.offset > end) {
      throw new Failure(
        `${topic}-${number} holds the offsets from ${start} up to ${end}, without that; ${from.offset} is not among them. Check --from`,
      )
    }
    return { partition: number, offset: from.offset, end }
  })
}
