// Groups live in a topic: created when it is needed, read when the broker starts, and broken like any other. A coordinator
// that serves groups it has not read yet hands out offsets from nowhere, and one that stops the broker because of a bad
// block takes down what has nothing to do with groups.
import {
  createPartitions,
  deleteTopics,
  describeGroups,
  errors,
  fetch,
  findCoordinator,
  heartbeat,
  type JoinGroupResponse,
  listGroups,
  metadata,
  offsetFetch,
  produce,
} from '@varve/protocol'
import { batchesIn, VarveError } from '@varve/records'
import { describe, expect, test } from 'vitest'
import { encodeRecord, offsetRecord } from '../../src/groups/group-records.js'
import { MemoryDisk } from '../memory-log.js'
import { described, TOPIC } from '../support/configs.js'
import { commit, join, sync } from '../support/group-requests.js'
import type { RawClient } from '../support/raw-client.js'
import {
  batchOf,
  fetchBody,
  produceBody,
  settle,
  startTestBroker,
  temporaryDirectory,
  until,
} from '../support/test-broker.js'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

describe('the topic of the groups', () => {
  test('is created by the first who looks for a coordinator, with as many partitions as was said', async () => {
    const { connect, lines } = await startTestBroker({ groups: { offsetsTopicPartitions: 3 } })
    const [a, b] = [await connect(), await connect()]
    const find = (client: RawClient) => client.request(findCoordinator, 2, { key: 'g', keyType: 0 })
    const found = await Promise.all([find(a), find(b)])
    expect(found.map(({ errorCode }) => errorCode)).toEqual([0, 0])
    const { topics } = await a.request(metadata, 12, { topics: null })
    expect(topics).toMatchObject([{ name: '__consumer_offsets', isInternal: true }])
    expect(topics[0]!.partitions).toHaveLength(3)
    expect(lines.filter((line) => line.includes('created topic'))).toHaveLength(1)
  })

  test.each([...codecs.entries()])(
    'has the codec with the number %d, and segments of its own size',
    async (number, codec) => {
      const { connect, createTopic } = await startTestBroker({
        configs: { 'offsets.topic.compression.codec': number, 'offsets.topic.segment.bytes': 2_000_000 },
      })
      await createTopic('t')
      const client = await connect()
      await commit(client, 8, 3)
      const { responses } = await client.request(fetch, 12, fetchBody('__consumer_offsets'))
      const [batch] = [...batchesIn(responses[0]!.partitions[0]!.records!)]
      expect(batch!.compression).toBe(codec)
      const found = await described(client, TOPIC, '__consumer_offsets')
      expect(found.get('segment.bytes')).toMatchObject({ value: '2000000' })
    },
  )

  test('is written by the coordinator alone, and read by whoever wants', async () => {
    const { connect, createTopic } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    await commit(client, 8, 3)
    const { responses } = await client.request(produce, 9, produceBody('__consumer_offsets', batchOf('x')))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(errors.INVALID_TOPIC_EXCEPTION.code)
    const fetched = await client.request(fetch, 12, fetchBody('__consumer_offsets'))
    expect(fetched.responses[0]!.partitions[0]!.records!.length).toBeGreaterThan(0)
  })

  test('cannot be created on a disk that is full: clients look again', async () => {
    const { connect, disk } = await startTestBroker()
    disk.failOpen(
      '__consumer_offsets-0',
      new VarveError('VARVE_IO', 'no space left', { cause: { code: 'ENOSPC' } }),
    )
    const client = await connect()
    const find = () => client.request(findCoordinator, 2, { key: 'g', keyType: 0 })
    expect(await find()).toMatchObject({ errorCode: errors.COORDINATOR_NOT_AVAILABLE.code, nodeId: -1 })
    expect(await find()).toMatchObject({ errorCode: 0 })
  })

  test('takes groups from one start of the broker to the next, whose members go on', async () => {
    const disk = new MemoryDisk()
    const data = await temporaryDirectory()
    const first = await startTestBroker({ disk, data, groups: { offsetsTopicPartitions: 5 } })
    await first.createTopic('t')
    const client = await first.connect()
    const joined = await join(client, 9)
    await sync(client, 5, joined)
    const by = { generationIdOrMemberEpoch: joined.generationId, memberId: joined.memberId }
    await commit(client, 8, 3, by)
    await first.broker.close()

    // Whatever is configured now, a group is where it was.
    const second = await startTestBroker({ disk, data, groups: { offsetsTopicPartitions: 7 } })
    const again = await second.connect()
    const { errorCode } = await again.request(heartbeat, 4, { groupId: 'g', ...joined })
    expect(errorCode).toBe(0)
    expect((await commit(again, 8, 4, by)).topics[0]!.partitions[0]!.errorCode).toBe(0)
    const { topics } = await again.request(offsetFetch, 7, { groupId: 'g', topics: null })
    expect(topics[0]!.partitions[0]!.committedOffset).toBe(4)
    expect(topics[0]!.partitions[0]!.metadata).toBe('at 4')
  })

  test('while it is read its groups are told so, but the coordinator can be found', async () => {
    const disk = new MemoryDisk()
    const data = await temporaryDirectory()
    const first = await startTestBroker({ disk, data })
    await first.createTopic('t')
    await commit(await first.connect(), 8, 3)
    await first.broker.close()
    let release = (): void => {}
    disk.holdReading('__consumer_offsets-0', new Promise<void>((resolve) => (release = resolve)))
    const second = await startTestBroker({ disk, data })
    const client = await second.connect()
    const loading = errors.COORDINATOR_LOAD_IN_PROGRESS.code
    expect(await client.request(findCoordinator, 2, { key: 'g', keyType: 0 })).toMatchObject({ errorCode: 0 })
    const ask = () => client.request(offsetFetch, 7, { groupId: 'g', topics: null })
    expect(await ask()).toMatchObject({ errorCode: loading, topics: [] })
    const old = { groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] }
    expect((await client.request(offsetFetch, 1, old)).topics[0]!.partitions[0]!.errorCode).toBe(loading)
    expect((await join(client, 9)).errorCode).toBe(loading)
    expect((await sync(client, 5, { memberId: 'x', generationId: 1 } as JoinGroupResponse)).errorCode).toBe(
      loading,
    )
    expect((await commit(client, 8, 3)).topics[0]!.partitions[0]!.errorCode).toBe(loading)
    expect((await client.request(listGroups, 0, {})).errorCode).toBe(loading)
    const described = await client.request(describeGroups, 6, {
      groups: ['g'],
      includeAuthorizedOperations: false,
    })
    expect(described.groups[0]!.errorCode).toBe(loading)
    release()
    await until(() => second.lines.some((line) => line.includes('records of groups')), 'the groups are read')
    expect((await ask()).topics[0]!.partitions[0]!.committedOffset).toBe(3)
  })

  test('that cannot be read serves no groups, says so, and leaves everything else alone', async () => {
    const disk = new MemoryDisk()
    const data = await temporaryDirectory()
    const first = await startTestBroker({ disk, data })
    await first.createTopic('t')
    await commit(await first.connect(), 8, 3)
    await first.broker.close()
    disk.flipByte('__consumer_offsets-0', 70)
    const second = await startTestBroker({ disk, data })
    await until(() => second.broker.problems.length > 0, 'the problem is named')
    expect(second.broker.problems).toEqual([
      '__consumer_offsets-0: its groups cannot be served, because it cannot be read: the batch at offset 0 has a wrong CRC',
    ])
    const client = await second.connect()
    const found = await client.request(findCoordinator, 2, { key: 'g', keyType: 0 })
    expect(found.errorCode).toBe(errors.COORDINATOR_NOT_AVAILABLE.code)
    expect(found.errorMessage).toContain('wrong CRC')
    const { responses } = await client.request(produce, 9, produceBody('t', batchOf('x')))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  })

  test('can be deleted with all groups, and is made anew when one is needed', async () => {
    const { connect, createTopic, broker } = await startTestBroker({ engine: true })
    await createTopic('t')
    const [client, other] = [await connect(), await connect()]
    await sync(client, 5, await join(client, 9))
    const waiting = join(other, 9)
    await settle()
    await client.request(deleteTopics, 5, { topicNames: ['__consumer_offsets'], timeoutMs: 1_000 })
    expect((await waiting).errorCode).toBe(errors.NOT_COORDINATOR.code)
    expect((await client.request(listGroups, 0, {})).groups).toEqual([])
    expect(await join(client, 9)).toMatchObject({ errorCode: 0, generationId: 1 })
    expect(broker.problems).toEqual([])
  })

  test('keeps its number of partitions, by which groups are found', async () => {
    const { connect } = await startTestBroker()
    const client = await connect()
    await join(client, 9)
    const topics = [{ name: '__consumer_offsets', count: 2, assignments: null }]
    const { results } = await client.request(createPartitions, 3, {
      topics,
      timeoutMs: 1,
      validateOnly: false,
    })
    expect(results[0]!.errorCode).toBe(errors.INVALID_REQUEST.code)
  })

  test('that takes no writes any more refuses commits and keeps the offsets there are', async () => {
    const { connect, createTopic, disk } = await startTestBroker()
    await createTopic('t')
    const client = await connect()
    await commit(client, 8, 3)
    disk.log('__consumer_offsets-0').fail()
    const { topics } = await commit(client, 8, 4)
    expect(topics[0]!.partitions[0]!.errorCode).toBe(errors.COORDINATOR_NOT_AVAILABLE.code)
    const left = await client.request(offsetFetch, 7, { groupId: 'g', topics: null })
    expect(left.topics[0]!.partitions[0]!.committedOffset).toBe(3)
  })
})

test('offsets expire in time', async () => {
  const { connect, createTopic, clock } = await startTestBroker({ groups: { offsetsRetentionMinutes: 60 } })
  await createTopic('t')
  const client = await connect()
  await commit(client, 8, 3)
  clock.advance(70 * 60_000)
  await settle()
  const again = await connect()
  expect((await again.request(listGroups, 0, {})).groups).toEqual([])
})

test('a deleted topic takes its offsets along before another gets its name', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('t')
  const client = await connect()
  await commit(client, 8, 3)
  await client.request(deleteTopics, 5, { topicNames: ['t'], timeoutMs: 1_000 })
  expect((await client.request(offsetFetch, 7, { groupId: 'g', topics: null })).topics).toEqual([])
  await createTopic('t')
  await commit(client, 8, 4)
  const { topics } = await client.request(offsetFetch, 7, { groupId: 'g', topics: null })
  expect(topics[0]!.partitions[0]!.committedOffset).toBe(4)
})

test('a topic of the same name that comes later does not inherit offsets', async () => {
  const disk = new MemoryDisk()
  const data = await temporaryDirectory()
  const first = await startTestBroker({ disk, data })
  const topicId = await first.createTopic('t')
  await commit(await first.connect(), 8, 3)
  const earlier = { offset: 9, leaderEpoch: 0, metadata: '', commitTimestamp: 0, expireTimestamp: null }
  const record = offsetRecord('g', 't', 0, {
    ...earlier,
    topicId: topicId.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')),
  })
  await disk.log('__consumer_offsets-0').append([encodeRecord(record, 0)])
  await first.broker.close()

  const second = await startTestBroker({ disk, data })
  await until(() => second.lines.some((line) => line.includes('records of groups')), 'the groups are read')
  const client = await second.connect()
  const asked = [{ name: 't', partitionIndexes: [0] }]
  const { topics } = await client.request(offsetFetch, 7, { groupId: 'g', topics: asked })
  expect(topics[0]!.partitions[0]!.committedOffset).toBe(-1)
  expect((await client.request(offsetFetch, 7, { groupId: 'g', topics: null })).topics).toEqual([])
})
