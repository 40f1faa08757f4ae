/**
 * A disk fills up at the worst moment: in the middle of a write, under everybody's load. A broker that acknowledges what did
 * not fit loses it, one that gives up altogether takes down the partitions of its other disks, and one that cannot start on
 * a full disk leaves nobody who could make room. So a broker has a small disk beside an ordinary one, and fills it.
 */
import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { expect, test } from 'vitest'
import { howToGetOne, smallDisk } from '../../packages/log/test/small-disk.js'
import { contentOfTopic } from '../crash/broker-content.js'
import { BrokerProcess } from '../support/broker-process.js'
import { temporaryDirectory } from '../support/tree.js'

const MIB = 1 << 20
const TOPIC = 'orders'
const PARTITIONS = 4
const GROUPS = Array.from({ length: 20 }, (_, n) => `group-${n}`)
const disk = smallDisk(24 * 1024)

const acknowledged = Array.from({ length: PARTITIONS }, () => new Map<number, string>())
const attempted = new Set<string>()

/** Sends one record after the other to a partition, as long as it is asked to and until one is refused, which it returns. */
async function send(producer: Producer, partition: number, goesOn: () => boolean): Promise<unknown> {
  while (goesOn()) {
    const value = `${partition}/${attempted.size}/`.padEnd(16_000, 'x')
    attempted.add(value)
    try {
      const { offset } = await producer.send(TOPIC, { value, partition })
      acknowledged[partition]!.set(offset, value)
    } catch (error) {
      return error
    }
  }
  return undefined
}

async function expectAllThere(broker: BrokerProcess): Promise<void> {
  const found = await contentOfTopic([broker.address], TOPIC, PARTITIONS)
  found.forEach((content, partition) => {
    const lost = [...acknowledged[partition]!].filter(([offset, value]) => content.get(offset) !== value)
    expect(lost, `lost of partition ${partition}`).toEqual([])
    const values = [...content.values()]
    expect(new Set(values).size, 'nothing is stored twice').toBe(values.length)
    expect(values.filter((value) => !attempted.has(value))).toEqual([])
  })
}

test.skipIf(disk === null)(
  `a full disk costs nothing that was acknowledged, and no partition of another disk${howToGetOne(disk)}`,
  { timeout: 120_000 },
  async () => {
    const ballast = join(disk!, 'ballast')
    writeFileSync(ballast, Buffer.alloc(2 * MIB))
    const [ordinary, small] = [join(temporaryDirectory(), 'data'), join(disk!, 'data')]
    const start = (): Promise<BrokerProcess> =>
      // What is refused before the disk is full is another test's.
      BrokerProcess.start(ordinary, [
        '--data',
        small,
        '--low-disk-bytes',
        '0',
        '--config',
        'offsets.topic.num.partitions=8',
      ])
    let broker = await start()
    let admin = new Admin({ brokers: [broker.address] })
    await admin.createTopics([{ name: TOPIC, partitions: PARTITIONS }])
    // As long as may be, so that it does not fit into what is left of a page.
    const metadata = 'm'.repeat(4096)
    const commit = async (group: string, offset: number): Promise<boolean> => {
      try {
        await admin.alterGroupOffsets(group, [{ topic: TOPIC, partition: 0, offset, metadata }])
        return true
      } catch (error) {
        expect(error).toMatchObject({ kafkaName: 'COORDINATOR_NOT_AVAILABLE' })
        return false
      }
    }
    for (const group of GROUPS) expect(await commit(group, 1)).toBe(true)
    await admin.close()
    // What it is refused from now on it is refused for good.
    admin = new Admin({ brokers: [broker.address], timeoutMs: 3000 })
    const dirs = await admin.describeLogDirs()
    const onSmall = dirs
      .find(({ path }) => path === small)!
      .replicas.filter(({ topic }) => topic === TOPIC)
      .map(({ partition }) => partition)
    expect(onSmall).toHaveLength(PARTITIONS / 2)

    const producer = new Producer({ brokers: [broker.address], acks: -1, retries: 0 })
    const failures: unknown[] = []
    let full = 0
    await Promise.all(
      Array.from({ length: PARTITIONS * 8 }, async (_, n) => {
        const partition = n % PARTITIONS
        const isOnSmall = onSmall.includes(partition)
        const failure = await send(producer, partition, () => isOnSmall || full < onSmall.length * 8)
        if (isOnSmall) {
          full++
          expect(failure).toMatchObject({ kafkaName: 'KAFKA_STORAGE_ERROR' })
        } else if (failure !== undefined) failures.push(failure)
      }),
    )
    expect(failures, 'the other disk takes what it is given').toEqual([])
    for (const partition of onSmall) expect(acknowledged[partition]!.size).toBeGreaterThan(100)
    expect(broker.errors).toMatch(/could not write .*No space left on device.*free space on its disk/)
    await expectAllThere(broker)

    await producer.close()

    // What was too little for a batch is room enough for an offset.
    const rest = join(disk!, 'rest')
    expect(() => {
      for (;;) appendFileSync(rest, Buffer.alloc(4096))
    }).toThrow(/ENOSPC/)
    // Half of the groups keep their offsets on the full disk: those are refused, and are what they were.
    const kept = new Map<string, number>()
    await Promise.all(GROUPS.map(async (group) => kept.set(group, (await commit(group, 2)) ? 2 : 1)))
    expect(new Set(kept.values())).toEqual(new Set([1, 2]))
    const expectCommitted = async (): Promise<void> => {
      for (const [group, offset] of kept)
        expect((await admin.listGroupOffsets(group))[0]!.offset, group).toBe(offset)
    }
    await expectCommitted()
    await admin.close()
    expect(await broker.stop(), 'it says that it could not close everything').toBe(1)

    await expect(start()).rejects.toThrow(
      /No space left on device.*free space on its disk, then start it again/,
    )
    for (const file of [ballast, rest]) rmSync(file)
    broker = await start()
    admin = new Admin({ brokers: [broker.address] })
    await expectAllThere(broker)
    await expectCommitted()
    const again = new Producer({ brokers: [broker.address], acks: -1, retries: 0 })
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const size = acknowledged[partition]!.size
      expect(await send(again, partition, () => acknowledged[partition]!.size < size + 10)).toBe(undefined)
    }
    await again.close()
    for (const group of GROUPS) {
      expect(await commit(group, 3)).toBe(true)
      kept.set(group, 3)
    }
    await expectAllThere(broker)
    await expectCommitted()
    await admin.close()
    expect(await broker.stop()).toBe(0)
  },
)
