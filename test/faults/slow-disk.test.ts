/**
 * Producers that are faster than the disk are the rule, not the exception. A broker that takes all that they have to give keeps
 * it in memory until it is killed for that; one whose event loop waits for the disk serves nobody meanwhile. So fifty of
 * them write to a topic whose every write takes its time, and others go on with theirs.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin } from '@varve/client'
import { produce } from '@varve/protocol'
import { expect, test } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { batchOf, fetchFrom, produceBody, produceTo } from '../../packages/broker/test/support/test-broker.js'
import { contentOfTopic } from '../crash/broker-content.js'
import { BrokerProcess } from '../support/broker-process.js'
import { temporaryDirectory } from '../support/tree.js'

const MIB = 1 << 20
const PRODUCERS = 50
/** Together 125 MB under way at once, many times what the broker may hold. */
const IN_FLIGHT = 25
const RECORD = 100_000
const BUDGET = 16 * MIB

/** What the broker's process had in memory at most, and has now. */
function residentBytes({ child }: BrokerProcess): { most: number; now: number } {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)![1])
  return { most: kib('VmHWM') * 1024, now: kib('VmRSS') * 1024 }
}

test(
  'fifty producers that are faster than the disk are bounded, and others are served',
  { timeout: 120_000 },
  async (context) => {
    if (process.platform !== 'linux') context.skip('memory is read in /proc, which Linux has')
    const broker = await BrokerProcess.start(
      join(temporaryDirectory(), 'data'),
      ['--durability', 'os', '--request-memory-bytes', String(BUDGET)],
      { env: { VARVE_TEST_FAULT: 'write_at@slow-0/00000000000000000000.log:delay=50' } },
    )
    const admin = new Admin({ brokers: [broker.address] })
    await admin.createTopics([
      { name: 'slow', partitions: 1 },
      { name: 'quick', partitions: 1 },
    ])
    await admin.close()
    const bystander = await RawClient.connect(broker.port)
    await produceTo(bystander, 'quick', 'warm')
    const before = residentBytes(broker).now

    let answered = 0
    const acknowledged = new Map<number, string>()
    const producers = await Promise.all(
      Array.from({ length: PRODUCERS }, () => RawClient.connect(broker.port)),
    )
    const produced = producers.flatMap((client, who) =>
      Array.from({ length: IN_FLIGHT }, async (_, n) => {
        const value = `${who}/${n}/`.padEnd(RECORD, 'x')
        const { responses } = await client.request(produce, 9, produceBody('slow', batchOf(value)))
        const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
        expect(errorCode).toBe(0)
        acknowledged.set(Number(baseOffset), value)
        answered++
      }),
    )
    let servedMeanwhile = 0
    for (let n = 0; n < 10; n++) {
      const { errorCode, baseOffset } = await produceTo(bystander, 'quick', `${n}`)
      expect(errorCode).toBe(0)
      const fetched = await fetchFrom(bystander, 'quick', { offset: Number(baseOffset) })
      expect([fetched.errorCode, fetched.highWatermark]).toEqual([0, baseOffset + 1])
      if (answered < produced.length) servedMeanwhile++
    }
    // Not always: this process may stand still until they are through.
    expect(servedMeanwhile, 'they have much to do while the bystander is served').toBeGreaterThan(0)
    await Promise.all(produced)
    expect(residentBytes(broker).most - before).toBeLessThan(80 * MIB)

    const [content] = await contentOfTopic([broker.address], 'slow', 1)
    expect(content!.size).toBe(produced.length)
    const lost = [...acknowledged].filter(([offset, value]) => content!.get(offset) !== value)
    expect(lost.map(([offset]) => offset)).toEqual([])
    for (const client of [bystander, ...producers]) await client.close()
    expect(broker.errors).toBe('')
    expect(await broker.stop()).toBe(0)
  },
)
