/**
 * Three replicas of a partition are three logs that were written in three ways: a leader's by what clients sent, a follower's by what it
 * fetched, and that of a leader who was away also by what it cut off again. Where one of them differs nobody notices before it leads. So
 * Kafka's own tool reads all three, behind changes of leaders and a truncation, and must print the same batches and records of each.
 */
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { expect, test, vi } from 'vitest'
import { dumpLogSegments, type DumpedLog } from '../support/dump-log-segments.js'
import { etcdMissing } from '../support/etcd.js'
import { kafkaToolsMissing } from '../support/kafka-tools.js'
import { temporaryDirectory } from '../support/tree.js'
import { BrokersUnderTest } from './brokers-under-test.js'

const timeout = 120_000
const BROKERS = 3
const TOPIC = 'orders'
const GROUP = 'readers'
/** The least that a topic may have. */
const SEGMENT_BYTES = 1 << 20
const FIRST_SEGMENT = `${'0'.repeat(20)}.log`
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** Two batches of each codec, by an idempotent producer each; those without one fill half a segment. */
async function writeInEveryCodec(brokers: BrokersUnderTest, what: string): Promise<void> {
  for (const compression of codecs) {
    await using producer = new Producer({ brokers: brokers.addresses, compression })
    for (const part of [0, 1]) {
      const sent = Array.from({ length: 30 }, (_, n) =>
        producer.send(TOPIC, {
          key: `${n}`,
          value:
            n % 7 === 6
              ? null
              : `${what} ${compression} ${part} ${'x'.repeat(compression === 'none' ? SEGMENT_BYTES / 120 : n * 11)}`,
          headers: n % 3 === 0 ? [['of', what]] : [],
        }),
      )
      await Promise.all(sent)
    }
  }
}

/** Commits an offset for the group, in a partition of `__consumer_offsets`. */
async function commit(brokers: BrokersUnderTest, offset: number): Promise<void> {
  await using admin = new Admin({ brokers: brokers.addresses })
  await admin.alterGroupOffsets(GROUP, [{ topic: TOPIC, partition: 0, offset }])
}

/**
 * Has the leader take records that its followers, which stand still, do not fetch; it is killed, and another one leads before it comes
 * back. Returns a copy of what it had.
 */
async function leaveRecordsBehind(brokers: BrokersUnderTest): Promise<string> {
  const leader = await brokers.leaderOf(TOPIC)
  const followers = [...brokers.running].filter(([id]) => id !== leader).map(([, { child }]) => child)
  const producer = new Producer({ brokers: [brokers.running.get(leader)!.address], acks: 1, lingerMs: 0 })
  await producer.send(TOPIC, { value: 'before' })
  for (const follower of followers) follower.kill('SIGSTOP')
  // The first of them may be on its way in answer to a fetch that waited for it.
  for (const n of [1, 2, 3, 4]) await producer.send(TOPIC, { value: `left behind ${n}` })
  await brokers.kill(leader)
  for (const follower of followers) follower.kill('SIGCONT')
  await producer.close()
  const had = join(temporaryDirectory(), `${TOPIC}-0`)
  cpSync(brokers.replicasOf(TOPIC)[leader - 1]!, had, { recursive: true })
  await vi.waitUntil(async () => (await brokers.leaderOf(TOPIC)) !== leader, {
    timeout: 60_000,
    interval: 50,
  })
  await writeInEveryCodec(brokers, 'without its leader')
  await brokers.startAgain()
  return had
}

/** All replicas of all partitions are in sync, and there is nothing that one of them has to fetch. */
async function untilCaughtUp(brokers: BrokersUnderTest): Promise<void> {
  await using admin = new Admin({ brokers: brokers.addresses })
  const isCaughtUp = async (): Promise<boolean> => {
    const topics = await admin.describeTopics([TOPIC, '__consumer_offsets'])
    const directories = (await admin.describeLogDirs()).flatMap(({ replicas }) => replicas)
    return (
      topics.flatMap(({ partitions }) => partitions).every(({ isr: { length } }) => length === BROKERS) &&
      directories.every(({ offsetLag }) => offsetLag === 0)
    )
  }
  await vi.waitUntil(isCaughtUp, { timeout: 60_000, interval: 50 })
}

/** Without where in its segment a batch is: replicas need not roll at the same batches. */
const batchesOf = ({ batches }: DumpedLog) =>
  batches.map(({ fields: { position: _, ...fields }, records }) => ({ fields, records }))

/** The leaders' epochs; whoever was elected last and wrote nothing is known to itself alone, as in Kafka. */
function epochsOf(directory: string, end: number): string[] {
  const [, , ...entries] = readFileSync(join(directory, 'leader-epoch-checkpoint'), 'utf8').trim().split('\n')
  return entries.filter((entry) => Number(entry.split(' ')[1]) < end)
}

/** A copy in which the first batch was written by another leader, of which its CRC knows nothing. */
function ofAnotherLeader(directory: string): string {
  const copy = join(temporaryDirectory(), basename(directory))
  cpSync(directory, copy, { recursive: true })
  const segment = join(copy, FIRST_SEGMENT)
  const bytes = readFileSync(segment)
  bytes.writeInt32BE(bytes.readInt32BE(12) + 1, 12)
  writeFileSync(segment, bytes)
  return copy
}

const missing = kafkaToolsMissing ?? etcdMissing

test('DumpLogSegments is equal on all replicas', { timeout }, async ({ skip }) => {
  if (missing !== null) skip(missing)
  const brokers = await BrokersUnderTest.start(BROKERS)
  await using admin = new Admin({ brokers: brokers.addresses })
  await admin.createTopics([
    { name: TOPIC, partitions: 1, configs: { 'segment.bytes': String(SEGMENT_BYTES) } },
  ])
  await writeInEveryCodec(brokers, 'at first')
  await commit(brokers, 1)
  const first = await brokers.leaderOf(TOPIC)
  await brokers.stop(first)
  await writeInEveryCodec(brokers, 'after the first')
  await brokers.startAgain()
  await untilCaughtUp(brokers)
  const had = await leaveRecordsBehind(brokers)
  await commit(brokers, 2)
  await writeInEveryCodec(brokers, 'at last')
  await untilCaughtUp(brokers)
  await brokers.stop()

  const replicas = brokers.replicasOf(TOPIC)
  const data = dirname(replicas[0]!)
  const offsets = readdirSync(data).find(
    (name) => name.startsWith('__consumer_offsets-') && statSync(join(data, name, FIRST_SEGMENT)).size > 0,
  )
  const offsetsReplicas = replicas.map((replica) => join(dirname(replica), offsets!))
  const other = ofAnotherLeader(replicas[0]!)
  const dumped = await dumpLogSegments([...replicas, had, other])
  const ofOffsets = await dumpLogSegments(offsetsReplicas, { decoder: '--offsets-decoder' })
  expect([...dumped, ...ofOffsets].flatMap(({ complaints }) => complaints)).toEqual([])
  const of = dumped.slice(0, BROKERS)
  const [ofHad, ofOther] = dumped.slice(BROKERS)

  // What was to come about has.
  const texts = ({ batches }: DumpedLog): string => JSON.stringify(batches.flatMap(({ records }) => records))
  expect(texts(ofHad!)).toContain('left behind 4')
  expect(texts(of[0]!)).not.toContain('left behind 4')
  expect(texts(of[0]!)).toContain('at last zstd 1')
  const written = batchesOf(of[0]!).map(({ fields }) => fields)
  expect(new Set(written.map(({ compresscodec }) => compresscodec))).toEqual(new Set(codecs))
  expect(new Set(written.map(({ partitionLeaderEpoch }) => partitionLeaderEpoch)).size).toBeGreaterThan(2)
  expect(new Set(written.map(({ producerId }) => producerId)).size).toBeGreaterThan(4 * codecs.length)
  expect(readdirSync(replicas[0]!).filter((name) => name.endsWith('.log')).length).toBeGreaterThan(1)

  for (const [all, directories] of [
    [of, replicas],
    [ofOffsets, offsetsReplicas],
  ] as const) {
    const end = Number(all[0]!.batches.at(-1)!.fields['lastOffset']) + 1
    expect(epochsOf(directories[0]!, end).length).toBeGreaterThan(0)
    for (const [n, replica] of all.entries()) {
      expect(batchesOf(replica)).toEqual(batchesOf(all[0]!))
      expect(epochsOf(directories[n]!, end)).toEqual(epochsOf(directories[0]!, end))
    }
  }
  expect(batchesOf(ofOther!)).not.toEqual(batchesOf(of[0]!))
  expect(batchesOf(ofOther!).slice(1)).toEqual(batchesOf(of[0]!).slice(1))
})
