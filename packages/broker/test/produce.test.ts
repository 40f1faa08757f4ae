// A producer acts on nothing but what Produce answers: an acknowledgement too early loses records, a wrong code makes it
// retry for ever or give up for nothing, and a refused batch that is stored all the same comes back as a duplicate.
import { errors, fetch, produce } from '@varve/protocol'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import {
  batchOf,
  fetchBody,
  fetchFrom,
  produceBody,
  produceTo,
  settle,
  startTestBroker,
} from './support/test-broker.js'

const versions = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]

test.each(versions)('version %i stores a batch and answers its base offset', async (version) => {
  const { connect, createTopic } = await startTestBroker()
  const topicId = await createTopic('orders', 2)
  const client = await connect()
  const target = version < 13 ? { name: 'orders' } : { topicId }
  for (const baseOffset of [0, 2]) {
    const partitionData = [{ index: 1, records: batchOf('a', 'b') }]
    const { responses } = await client.request(produce, version, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ ...target, partitionData }],
    })
    expect(responses[0]).toMatchObject(target)
    expect(responses[0]!.partitionResponses[0]).toMatchObject({ index: 1, errorCode: 0, baseOffset })
    if (version >= 5) expect(responses[0]!.partitionResponses[0]!.logStartOffset).toBe(0)
  }
  const { records } = await fetchFrom(client, 'orders', { partition: 1 })
  expect(recordsIn(records).map(({ offset, value }) => [offset, String(value)])).toEqual([
    [0, 'a'],
    [1, 'b'],
    [2, 'a'],
    [3, 'b'],
  ])
})

test.each([0, 1, 2])('version %i is advertised and ends the connection', async (version) => {
  const { connect, lines } = await startTestBroker()
  const client = await connect()
  const request = Buffer.from([0, 0, 0, version, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])
  client.write(Buffer.concat([Buffer.from([0, 0, 0, request.length]), request]))
  await client.closed
  expect(lines.join('\n')).toContain(`Produce is served in versions 3 to 13, not in ${version}`)
})

test('acks 1 and -1 are answered only when the batch is durable', async () => {
  const { connect, createTopic, disk } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const [one, all] = [await connect(), await connect()]
  one.send(produce, 9, produceBody('orders', batchOf('a'), { acks: 1 }))
  all.send(produce, 9, produceBody('orders', batchOf('b'), { acks: -1 }))
  await settle()
  expect([one.hasUnread, all.hasUnread]).toEqual([false, false])
  expect((await fetchFrom(await connect(), 'orders')).records).toHaveLength(0)
  await disk.log('orders-0').flush()
  await Promise.all([one.nextFrame(), all.nextFrame()])
  expect(recordsIn((await fetchFrom(await connect(), 'orders')).records)).toHaveLength(2)
})

test('acks -1 is given up when its time is over, though the batch stays', async () => {
  const { connect, createTopic, disk, clock } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const client = await connect()
  const answer = client.request(produce, 9, produceBody('orders', batchOf('a'), { timeoutMs: 700 }))
  await settle()
  clock.advance(700)
  expect((await answer).responses[0]!.partitionResponses[0]).toMatchObject({
    errorCode: errors.REQUEST_TIMED_OUT.code,
    baseOffset: -1,
  })
  await disk.log('orders-0').flush()
  expect(recordsIn((await fetchFrom(client, 'orders')).records)).toHaveLength(1)
})

test('acks 0 is never answered', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  client.send(produce, 9, produceBody('orders', batchOf('a'), { acks: 0 }))
  client.send(produce, 9, produceBody('orders', batchOf('b'), { acks: 0 }))
  // The first thing that comes back is the answer to what was asked third.
  expect(await produceTo(client, 'orders', 'c')).toMatchObject({ errorCode: 0, baseOffset: 2 })
})

test('acks 0 ends the connection on an error, since it has no other way to say so', async () => {
  const { connect, createTopic, lines } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  client.send(produce, 9, produceBody('nowhere', batchOf('a'), { acks: 0 }))
  await client.closed
  expect(lines.at(-1)).toMatch(
    /^warn closed the connection of .*'raw'.*acks=0 failed \(nowhere-0: error 3\)$/,
  )
})

test('other acks are refused, and nothing is stored', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  for (const acks of [2, -2, 32767]) {
    const { responses } = await client.request(produce, 9, produceBody('orders', batchOf('a'), { acks }))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(errors.INVALID_REQUIRED_ACKS.code)
  }
  expect((await fetchFrom(client, 'orders')).highWatermark).toBe(0)
})

test('unknown topics and partitions are refused, not created, beside good ones', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const { responses } = await client.request(produce, 9, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [
      { name: 'nowhere', partitionData: [{ index: 0, records: batchOf('a') }] },
      {
        name: 'orders',
        partitionData: [
          { index: 1, records: batchOf('b') },
          { index: 0, records: batchOf('c') },
          { index: -1, records: batchOf('d') },
        ],
      },
      { name: '__varve_metadata', partitionData: [{ index: 0, records: batchOf('e') }] },
    ],
  })
  const unknown = errors.UNKNOWN_TOPIC_OR_PARTITION.code
  const codes = responses.map((topic) => topic.partitionResponses.map(({ errorCode }) => errorCode))
  expect(codes).toEqual([[unknown], [unknown, 0, unknown], [unknown]])
})

test('an unknown topic id is called by its name', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const topicData = [
    { topicId: 'bCB5U4x5S3m3Hn_4t1uZyw', partitionData: [{ index: 0, records: batchOf('a') }] },
  ]
  const { responses } = await client.request(produce, 13, { acks: -1, timeoutMs: 1000, topicData })
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(errors.UNKNOWN_TOPIC_ID.code)
})

test('an empty request is answered', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  expect((await client.request(produce, 9, { acks: -1, timeoutMs: 1000, topicData: [] })).responses).toEqual(
    [],
  )
})

test('batches that arrive in one read are stored as they were sent, in both kinds of buffers', async () => {
  // A small frame is a view of a buffer that the next read overwrites; a large one has a buffer of its own. Each must
  // still be what was sent when the log writes it.
  const { connect, createTopic, disk } = await startTestBroker()
  await createTopic('orders')
  disk.log('orders-0').holdDurability()
  const client = await connect()
  const values = Array.from({ length: 60 }, (_, i) =>
    String.fromCharCode(65 + (i % 26)).repeat(i % 3 === 0 ? 90_000 : 40),
  )
  for (const value of values) client.send(produce, 9, produceBody('orders', batchOf(value)))
  const log = disk.log('orders-0')
  for (let got = 0; got < values.length;) {
    await settle(1)
    await log.flush()
    while (client.hasUnread && got < values.length) {
      await client.nextFrame()
      got++
    }
    if (log.durableOffset === values.length) while (got < values.length) got += (await client.nextFrame(), 1)
  }
  const { responses } = await client.request(fetch, 12, fetchBody('orders', { partitionMaxBytes: 1 << 25 }))
  expect(recordsIn(responses[0]!.partitions[0]!.records).map(({ value }) => String(value))).toEqual(values)
})
