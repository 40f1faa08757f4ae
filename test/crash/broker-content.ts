import { Admin, Consumer } from '@varve/client'
import type { BrokerProcess } from '../support/broker-process.js'

/** Everything that a broker has of a topic, by partition: the value at each offset. */
export async function contentOfTopic(
  broker: BrokerProcess,
  topic: string,
  partitionCount: number,
): Promise<Map<number, string>[]> {
  const admin = new Admin({ brokers: [broker.address] })
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({ topic, partition }))
  const ends = await admin.listOffsets(partitions.map((each) => ({ ...each, timestamp: 'latest' as const })))
  await admin.close()
  const found = partitions.map(() => new Map<number, string>())
  let missing = ends.reduce((sum, { offset }) => sum + offset, 0)
  const consumer = new Consumer({ brokers: [broker.address] })
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
