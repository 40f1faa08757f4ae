import { Admin, Consumer } from '@varve/client'

/** Everything that these brokers have of a topic, by partition: the value at each offset. */
export async function contentOfTopic(
  brokers: readonly string[],
  topic: string,
  partitionCount: number,
): Promise<Map<number, string>[]> {
  const admin = new Admin({ brokers })
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({ topic, partition }))
  const ends = await admin.listOffsets(partitions.map((each) => ({ ...each, timestamp: 'latest' as const })))
  await admin.close()
  const found = partitions.map(() => new Map<number, string>())
  let missing = ends.reduce((sum, { offset }) => sum + offset, 0)
  const consumer = new Consumer({ brokers })
  consumer.assign(partitions.map((each) => ({ ...each, offset: 'earliest' as const })))
  if (missing > 0) {
    for await (const record of consumer) {
      found[record.partition]!.set(record.offset, record.value!.toString())
      if (--missing === 0) break
    }
  }
  await consumer.close()
  return found
}
