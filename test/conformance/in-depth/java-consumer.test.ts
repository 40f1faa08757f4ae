/**
 * Kafka's own consumer names its partitions once and then only what changes (KIP-227). Where broker and consumer disagree
 * about a session the consumer stands still without an error, and only it can tell. The same consumer is the judge of what
 * a reader of committed records is shown.
 */
import { join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { openLog } from '@varve/log'
import { encodeBatch, encodeEndTransactionMarker } from '@varve/records'
import { expect, test } from 'vitest'
import { mustRun } from '../../support/children.js'
import { needs } from '../../support/clients.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { root } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const TIMEOUT = 300_000
const java = {
  name: 'java',
  missing: kafkaToolsMissing,
}

/** The values that Java's consumer reads, by partition. */
async function consume(
  brokers: BrokersUnderTest,
  topic: string,
  partitions: number,
  count: number,
  ...settings: string[]
): Promise<string[][]> {
  const program = join(root, 'test', 'conformance', 'clients', 'JavaConsumer.java')
  const what = [brokers.bootstrapServers, topic, String(partitions), String(count)]
  const { stdout } = await mustRun('java', ['-cp', kafkaToolsPath, program, ...what, ...settings])
  const read: string[][] = Array.from({ length: partitions }, () => [])
  for (const line of stdout.toString().trim().split('\n')) {
    const [partition, , value] = line.split(' ')
    read[Number(partition)]!.push(value!)
  }
  return read
}

async function create({ addresses }: BrokersUnderTest, name: string, partitions: number): Promise<void> {
  await using admin = new Admin({ brokers: addresses })
  await admin.createTopics([{ name, partitions }])
}

test(
  'it reads all of several partitions in a session, while they grow',
  { timeout: TIMEOUT },
  async (context) => {
    needs(context, java)
    const [partitions, each] = [5, 1500]
    const brokers = await BrokersUnderTest.start()
    await create(brokers, 'orders', partitions)
    const producer = new Producer({ brokers: brokers.addresses, batchBytes: 500 })
    const expected = Array.from({ length: partitions }, (_, partition) =>
      Array.from({ length: each }, (_, i) => `${partition}/${i}`),
    )
    const write = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++)
        await Promise.all(
          expected.map((values, partition) => producer.send('orders', { value: values[i]!, partition })),
        )
    }
    await write(0, 200)
    // So little at a time that no answer has records of all partitions.
    const limits = ['max.partition.fetch.bytes=600', 'fetch.max.bytes=1000', 'fetch.max.wait.ms=50']
    const reading = consume(brokers, 'orders', partitions, partitions * each, ...limits)
    await write(200, each)
    expect(await reading).toEqual(expected)
    await producer.close()
    await brokers.stop()
  },
)

test('it reads what transactions committed, and nothing else', { timeout: TIMEOUT }, async (context) => {
  needs(context, java)
  const brokers = await BrokersUnderTest.start()
  await create(brokers, 'payments', 1)
  await brokers.stop()
  const of = (producerId: number, baseSequence: number, ...values: string[]): Buffer =>
    encodeBatch(
      values.map((value) => ({ value })),
      { producer: { producerId, producerEpoch: 0, baseSequence, transactional: true } },
    )
  const end = (producerId: number, type: 'commit' | 'abort'): Buffer =>
    encodeEndTransactionMarker({ type, producerId, producerEpoch: 0 })
  const written = [
    of(1, 0, 'aborted-1'),
    of(2, 0, 'committed-1', 'committed-2'),
    end(1, 'abort'),
    of(1, 1, 'committed-3'),
    end(2, 'commit'),
    encodeBatch([{ value: 'plain' }]),
    end(1, 'commit'),
    of(2, 2, 'aborted-2'),
    end(2, 'abort'),
    encodeBatch([{ value: 'last' }]),
    of(3, 0, 'undecided'),
  ]
  for (const replica of brokers.replicasOf('payments')) {
    await using log = await openLog(replica)
    await Promise.all(log.appendBatches(written))
  }
  await brokers.startAgain()
  const committed = ['committed-1', 'committed-2', 'committed-3', 'plain', 'last']
  expect(await consume(brokers, 'payments', 1, 5, 'isolation.level=read_committed')).toEqual([committed])
  expect((await consume(brokers, 'payments', 1, 8))[0]).toHaveLength(8)
  await brokers.stop()
})
