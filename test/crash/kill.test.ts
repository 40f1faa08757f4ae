/**
 * kill -9 in the middle of producing is the crash that every broker meets: a deployment that ran out of patience, the
 * kernel out of memory. An acknowledgement that is sent before the bytes have left the process loses records here, a
 * recovery that cuts one batch too many loses them at the restart, and one that keeps a torn batch serves garbage. So the
 * real broker is killed again and again at seeded points of progress, and the log is compared with what was promised.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Producer } from '@varve/client'
import { BrokerProcess } from '../support/broker-process.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { random } from '../support/random.js'
import { temporaryDirectory } from '../support/tree.js'
import { contentOfTopic } from './broker-content.js'

const TOPIC = 'crash'
const PARTITIONS = 2
const KILLS = isLongRun ? 50 : 5

interface Attempt {
  readonly value: string
  readonly partition: number
  /** Where the broker said that it stored the record, or null if it never said. */
  offset: number | null
}

/** Sends from as many loops as `width` until the broker is killed, which happens at the given number of acknowledgements. */
async function produceUntilKilled(
  broker: BrokerProcess,
  round: number,
  killAfter: number,
  width: number,
  next: () => number,
): Promise<Attempt[]> {
  const attempts: Attempt[] = []
  const producer = new Producer({
    brokers: [broker.address],
    acks: -1,
    retries: 0,
    lingerMs: 1,
    batchBytes: 8192,
  })
  let acknowledged = 0
  let isOver = false
  const sendOn = async (): Promise<void> => {
    while (!isOver) {
      const partition = Math.floor(next() * PARTITIONS)
      const attempt: Attempt = {
        value: `${round}/${attempts.length}/${'x'.repeat(Math.floor(next() * 600))}`,
        partition,
        offset: null,
      }
      attempts.push(attempt)
      try {
        attempt.offset = (await producer.send(TOPIC, { value: attempt.value, partition })).offset
      } catch {
        isOver = true
      }
      // Not after a pause, but at a point of progress: the same for every run, while others are in flight.
      if (++acknowledged === killAfter) broker.child.kill('SIGKILL')
    }
  }
  await Promise.all(Array.from({ length: width }, sendOn))
  await producer.close().catch(() => {})
  await broker.stop('SIGKILL')
  return attempts
}

describe.each([
  { durability: 'fsync', seed: 11 },
  { durability: 'os', seed: 12 },
])('killed while producing, durability $durability', ({ durability, seed }) => {
  test('what was acknowledged is there once, what was not at most once', { timeout }, async () => {
    const data = temporaryDirectory()
    const args = ['--durability', durability, '--partitions', String(PARTITIONS)]
    const next = random(seed)
    const attempts: Attempt[] = []
    for (let round = 0; round < KILLS; round++) {
      const broker = await BrokerProcess.start(join(data, 'log'), args)
      const killAfter = 50 + Math.floor(next() * 3000)
      const width = 1 + Math.floor(next() * 200)
      const sent = await produceUntilKilled(broker, round, killAfter, width, next)
      expect(
        sent.filter(({ offset }) => offset !== null).length,
        `round ${round} of seed ${seed}`,
      ).toBeGreaterThanOrEqual(killAfter)
      attempts.push(...sent)
    }

    expect(
      attempts.filter(({ offset }) => offset === null),
      'kills came in the middle',
    ).not.toEqual([])

    const broker = await BrokerProcess.start(join(data, 'log'), args)
    const found = await contentOfTopic([broker.address], TOPIC, PARTITIONS)
    const attempted = new Set(attempts.map(({ value, partition }) => `${partition} ${value}`))
    const stored = found.flatMap((records, partition) =>
      [...records.values()].map((value) => `${partition} ${value}`),
    )
    expect(
      attempts.filter(
        ({ offset, partition, value }) => offset !== null && found[partition]!.get(offset) !== value,
      ),
    ).toEqual([])
    expect(stored.length, 'nothing is stored twice').toBe(new Set(stored).size)
    expect(stored.filter((record) => !attempted.has(record))).toEqual([])
    for (const records of found)
      expect([...records.keys()]).toEqual(Array.from({ length: records.size }, (_, offset) => offset))
    expect(await broker.stop()).toBe(0)
  })
})
