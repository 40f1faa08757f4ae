// A member learns by heartbeats what has become of its group, and whatever it learns it must draw the right conclusion:
// join again, with or without the id it had; keep what it has or take it for lost; find the coordinator that moved; or
// give up because another has its name. The clock stands still unless a test moves it.

import { errors } from '@varve/protocol'
import { expect, onTestFinished, test } from 'vitest'
import type { Consumer, ConsumerOptions, TopicPartition } from '../src/consumer.js'
import { ManualClock } from './manual-clock.js'
import { startCluster, startConsumer, TOPIC_ID, values } from './scripted-consumer.js'
import type { ScriptedCluster } from './scripted-cluster.js'
import { ScriptedGroup } from './scripted-group.js'

interface Scene {
  cluster: ScriptedCluster
  group: ScriptedGroup
  clock: ManualClock
  consumer: Consumer
  events: string[]
}

async function start(options: Partial<ConsumerOptions> = {}, brokers = 1): Promise<Scene> {
  const cluster = await startCluster(brokers)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster.log('t').add(...values(0, 4))
  const group = new ScriptedGroup(cluster)
  const clock = new ManualClock()
  const consumer = startConsumer(cluster, {
    groupId: 'g',
    offsetReset: 'earliest',
    // Far away, so that heartbeats are the only timers that are due.
    autoCommitIntervalMs: 1_000_000,
    clock,
    ...options,
  })
  const events: string[] = []
  const note = (what: string) => (partitions: readonly TopicPartition[]) =>
    void events.push(`${what} ${partitions.length}`)
  consumer.subscribe(['t'], {
    onAssigned: note('assigned'),
    onRevoked: note('revoked'),
    onLost: note('lost'),
  })
  return { cluster, group, clock, consumer, events }
}

async function next(consumer: Consumer): Promise<string> {
  const { value } = await consumer.records().next()
  return String(value!.value)
}

test('a broker that hands out ids first is asked again with the id', async () => {
  const { cluster, group, consumer } = await start()
  group.joinErrors.push(errors.MEMBER_ID_REQUIRED.code)
  expect(await next(consumer)).toBe('v0')
  const second = await cluster.brokers[0]!.received('JoinGroup', 1)
  expect(second.body).toMatchObject({ groupId: 'g', memberId: 'member-0', protocolType: 'consumer' })
  expect(second.body.protocols.map(({ name }: any) => name)).toEqual(['range', 'cooperative-sticky'])
  expect(group.assigned).toEqual([{ topic: 't', partitions: [0] }])
})

test('a rebalance waits for the iteration, commits what was handed out, and takes everything up again', async () => {
  const { cluster, group, clock, consumer, events } = await start()
  const records = consumer.records()
  await records.next()
  await records.next()
  group.heartbeatErrors.push(errors.REBALANCE_IN_PROGRESS.code)
  await clock.advanceToNext(3_000)
  await cluster.brokers[0]!.received('Heartbeat')
  // The next one is due once the answer to the first has come. Nobody takes a partition away while its record is at hand.
  await clock.advanceToNext(3_000)
  expect(events).toEqual(['assigned 1'])
  const { value } = await records.next()
  expect(String(value!.value)).toBe('v2')
  expect(events).toEqual(['assigned 1', 'revoked 1', 'assigned 1'])
  expect(group.committed.get('t-0')).toBe(2)
  expect((await cluster.brokers[0]!.received('JoinGroup', 1)).body.memberId).toBe('member-0')
})

test('a cooperative member keeps what it has, and says so', async () => {
  const { cluster, group, clock, consumer, events } = await start({ assignors: ['cooperative-sticky'] })
  const records = consumer.records()
  await records.next()
  group.heartbeatErrors.push(errors.REBALANCE_IN_PROGRESS.code)
  await clock.advanceToNext(3_000)
  await cluster.brokers[0]!.received('Heartbeat')
  await clock.advanceToNext(3_000)
  // It reads on while it joins.
  expect(String((await records.next()).value!.value)).toBe('v1')
  expect(ScriptedGroup.subscription(await cluster.brokers[0]!.received('JoinGroup', 1))).toMatchObject({
    ownedPartitions: [{ topic: 't', partitions: [0] }],
    generationId: 1,
  })
  expect(events.some((event) => event.startsWith('revoked'))).toBe(false)
})

test.each(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION'] as const)(
  'after %s the partitions are lost: nothing of them is committed, and the member joins anew',
  async (name) => {
    const { cluster, group, clock, consumer, events } = await start()
    const records = consumer.records()
    for (let read = 0; read < 4; read++) await records.next()
    const afterwards = records.next()
    group.heartbeatErrors.push(errors[name].code)
    await clock.advanceToNext(3_000)
    const { value } = await afterwards
    expect(String(value!.value)).toBe('v0')
    expect(events).toEqual(['assigned 1', 'lost 1', 'assigned 1'])
    expect(group.committed.size).toBe(0)
    const { body } = await cluster.brokers[0]!.received('JoinGroup', 1)
    expect(body.memberId).toBe(name === 'UNKNOWN_MEMBER_ID' ? '' : 'member-0')
  },
)

/** Lets so many heartbeats pass, the first of which is the `from`-th. */
async function beat({ cluster, clock }: Scene, from: number, count: number): Promise<void> {
  for (let beats = from; beats < from + count; beats++) {
    await clock.advanceToNext(3_000)
    await cluster.brokers[0]!.received('Heartbeat', beats)
  }
}

test('a static leader that comes back assigns nothing, and rebalances once partitions are added', async () => {
  const scene = await start({ groupInstanceId: 'one', metadataMaxAgeMs: 10_000 })
  const { cluster, group, consumer } = scene
  group.goesOn = true
  const records = consumer.records()
  await records.next()
  await beat(scene, 0, 3)
  await records.next()
  expect((await cluster.brokers[0]!.received('SyncGroup')).body.assignments).toEqual([])
  expect(cluster.brokers[0]!.count('JoinGroup')).toBe(1)
  cluster.topics['t']!.leaders = [0, 0]
  await beat(scene, 3, 3)
  await records.next()
  await cluster.brokers[0]!.received('JoinGroup', 1)
})

test('a member that does not lead leaves it to the leader to see new partitions', async () => {
  const scene = await start({ metadataMaxAgeMs: 5_000 })
  const { cluster, group, consumer } = scene
  group.leader = 'somebody else'
  const records = consumer.records()
  await records.next()
  await beat(scene, 0, 3)
  await records.next()
  cluster.topics['t']!.leaders = [0, 0]
  await beat(scene, 3, 4)
  await records.next()
  expect(cluster.brokers[0]!.count('JoinGroup')).toBe(1)
})

test('a coordinator that moved is found, and the membership goes on', async () => {
  const { cluster, group, clock, consumer, events } = await start({}, 2)
  const records = consumer.records()
  await records.next()
  group.coordinator = 1
  await clock.advanceToNext(3_000)
  await cluster.brokers[0]!.received('Heartbeat')
  await clock.advanceToNext(3_000)
  await cluster.brokers[1]!.received('Heartbeat')
  await records.next()
  expect(events).toEqual(['assigned 1'])
})

test('a member that knows the leaders from sharing partitions out reads on when a broker breaks its connections', async () => {
  const cluster = await startCluster()
  const [broker] = cluster.brokers
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster.log('t').add({ value: 'v0' })
  void new ScriptedGroup(cluster)
  const consumer = startConsumer(cluster, { groupId: 'g', offsetReset: 'earliest', autoCommit: false })
  consumer.subscribe(['t'])
  const broken = { Fetch: 1, Metadata: 1 }
  broker!.on('Fetch', (request) => {
    if (broken.Fetch-- <= 0) return cluster.fetch(request, 0)
    broker!.on('Metadata', (asked) =>
      broken.Metadata-- > 0 ? void asked.socket.destroy() : cluster.metadata(asked),
    )
    return void request.socket.destroy()
  })
  expect(await next(consumer)).toBe('v0')
  expect(broken.Metadata).toBeLessThan(1)
})

test('a static member whose name another has taken ends with the error that says so', async () => {
  const { cluster, group, clock, consumer } = await start({ groupInstanceId: 'one' })
  const records = consumer.records()
  for (let read = 0; read < 4; read++) await records.next()
  group.heartbeatErrors.push(errors.FENCED_INSTANCE_ID.code)
  const afterwards = expect(records.next()).rejects.toMatchObject({
    kafkaName: 'FENCED_INSTANCE_ID',
    message: expect.stringContaining("'one'"),
  })
  await clock.advanceToNext(3_000)
  await afterwards
  expect((await cluster.brokers[0]!.received('Heartbeat')).body.groupInstanceId).toBe('one')
})

test('whoever asks for nothing for too long leaves, and is told when it asks again', async () => {
  const { cluster, clock, consumer, events } = await start({ maxPollIntervalMs: 10_000 })
  const records = consumer.records()
  await records.next()
  for (let beats = 0; beats < 3; beats++) {
    await clock.advanceToNext(3_000)
    await cluster.brokers[0]!.received('Heartbeat', beats)
  }
  await clock.advanceToNext(3_000)
  const { body } = await cluster.brokers[0]!.received('LeaveGroup')
  expect(body.members).toMatchObject([{ memberId: 'member-0', reason: expect.stringContaining('10000 ms') }])
  await records.next()
  expect(events).toEqual(['assigned 1', 'lost 1', 'assigned 1'])
})

test('positions are committed now and then, once the next record is asked for', async () => {
  const { cluster, group, clock, consumer } = await start({ autoCommitIntervalMs: 1_000 })
  const records = consumer.records()
  await records.next()
  await clock.advanceToNext(1_000)
  expect(cluster.brokers[0]!.count('OffsetCommit')).toBe(0)
  await records.next()
  const { body } = await cluster.brokers[0]!.received('OffsetCommit')
  expect(body).toMatchObject({ groupId: 'g', generationIdOrMemberEpoch: 1, memberId: 'member-0' })
  expect(group.committed.get('t-0')).toBe(1)
})

test('an automatic commit that fails is told, and a commit by hand is thrown', async () => {
  const told: unknown[] = []
  const { group, consumer } = await start({ onCommitError: (error) => told.push(error) })
  await consumer.records().next()
  group.commitErrors.push(errors.GROUP_AUTHORIZATION_FAILED.code, errors.GROUP_AUTHORIZATION_FAILED.code)
  await expect(consumer.commit()).rejects.toMatchObject({ kafkaName: 'GROUP_AUTHORIZATION_FAILED' })
  await consumer.close()
  expect(told).toMatchObject([{ kafkaName: 'GROUP_AUTHORIZATION_FAILED' }])
})

test('unsubscribing leaves the group, and the consumer can be used again', async () => {
  const { cluster, consumer, events } = await start()
  await consumer.records().next()
  await consumer.unsubscribe()
  expect(events).toEqual(['assigned 1', 'revoked 1'])
  expect((await cluster.brokers[0]!.received('LeaveGroup')).body.members).toMatchObject([
    { memberId: 'member-0' },
  ])
  await expect(consumer.records().next()).rejects.toMatchObject({ code: 'VARVE_NOT_ASSIGNED' })
  consumer.assign([{ topic: 't', partition: 0, offset: 2 }])
  expect(await next(consumer)).toBe('v2')
})

test('a group is refused that cannot be', async () => {
  const { cluster, consumer } = await start()
  expect(() => consumer.assign([])).toThrow('exclude each other')
  const lone = startConsumer(cluster)
  expect(() => lone.subscribe(['t'])).toThrow("'groupId'")
  await expect(lone.commit()).rejects.toMatchObject({ code: 'VARVE_INVALID_OPTION' })
  const assignors = ['wishful'] as never
  expect(() => startConsumer(cluster, { groupId: 'g', assignors })).toThrow('wishful')
  onTestFinished(() => lone.close())
})
