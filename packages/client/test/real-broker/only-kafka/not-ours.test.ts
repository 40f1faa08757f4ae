// What varve does not serve and our clients understand all the same: transactions of others, and groups of the consumer
// protocol.

import { consumerGroupHeartbeat } from '@varve/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Admin, Connection, Consumer, type Isolation } from '../../../src/index.js'
import { created, eventually, useRealBroker } from '../real-broker.js'

const broker = useRealBroker()
let admin: Admin
beforeAll(() => {
  admin = new Admin({ brokers: broker.brokers })
})
afterAll(() => admin.close())

test('records of transactions are read once they are committed, and those of aborted ones never', async () => {
  await created(admin, { name: 'transactional', partitions: 1 })
  const kafka = new Kafka({ brokers: broker.brokers, logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ transactionalId: 'of-kafkajs', maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  const send = async (value: string, end: 'commit' | 'abort' | 'leave open') => {
    const transaction = await producer.transaction()
    await transaction.send({ topic: 'transactional', messages: [{ value }] })
    if (end === 'commit') await transaction.commit()
    if (end === 'abort') await transaction.abort()
    return transaction
  }
  await send('aborted', 'abort')
  await send('committed', 'commit')
  await send('aborted too', 'abort')
  const open = await send('open', 'leave open')

  const where = { topic: 'transactional', partition: 0 }
  const read = async (isolation: Isolation): Promise<string[]> => {
    await using consumer = new Consumer({ brokers: broker.brokers, isolation })
    const [{ offset: end }] = (await admin.listOffsets([{ ...where, timestamp: 'latest' }], {
      isolation,
    })) as [any]
    consumer.assign([{ ...where, offset: 0, end }])
    const values: string[] = []
    for await (const { value } of consumer) values.push(String(value))
    return values
  }
  // A marker is written some time after the end of its transaction was asked for.
  await eventually(async () => expect(await read('read_committed')).toEqual(['committed']))
  expect(await read('read_uncommitted')).toEqual(['aborted', 'committed', 'aborted too', 'open'])
  await open.commit()
  await eventually(async () => expect(await read('read_committed')).toEqual(['committed', 'open']))
})

test('a group of the consumer protocol is listed and described', async () => {
  await created(admin, { name: 'balanced', partitions: 2 })
  const connection = await Connection.dial('127.0.0.1', broker.port, { clientId: 'by-hand' })
  onTestFinished(() => connection.close())
  const beat = (memberEpoch: number) =>
    connection.request(consumerGroupHeartbeat, {
      groupId: 'of-the-new-protocol',
      memberId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      memberEpoch,
      rebalanceTimeoutMs: 30_000,
      subscribedTopicNames: ['balanced'],
      topicPartitions: [],
    })
  // Whoever asks for the coordinator first has it created.
  await admin.listGroupOffsets('of-the-new-protocol')
  await eventually(async () => {
    // Partitions are assigned some time after a member has joined.
    expect(await beat(0)).toMatchObject({ errorCode: 0, errorMessage: null })
    expect(await admin.describeGroups(['of-the-new-protocol'])).toMatchObject([
      {
        type: 'consumer',
        protocolType: 'consumer',
        assignor: 'uniform',
        members: [
          {
            clientId: 'by-hand',
            topics: ['balanced'],
            assignment: [
              { topic: 'balanced', partition: 0 },
              { topic: 'balanced', partition: 1 },
            ],
          },
        ],
      },
    ])
  })
  expect(await admin.listGroups({ types: ['consumer'] })).toMatchObject([
    { groupId: 'of-the-new-protocol', type: 'consumer' },
  ])
  expect((await beat(-1)).errorCode).toBe(0)
})
