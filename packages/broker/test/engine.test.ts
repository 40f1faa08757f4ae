// All other tests of this package stand on a log in memory that keeps the contract by construction. These stand on the
// real one: what is produced must come back byte for byte, also after a restart, and a real client must agree.
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { cp, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { errors, listOffsets, metadata, produce } from '@varve/protocol'
import { crc32c } from '@varve/records'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Broker } from '../src/broker.js'
import type { BrokerOptions } from '../src/broker-options.js'
import { startBroker } from '../src/start-broker.js'
import { recordsIn } from './memory-log.js'
import { RawClient } from './support/raw-client.js'
import { receivingWays } from './support/receiving-ways.js'
import { sendingWays } from './support/sending-ways.js'
import { batchOf, fetchFrom, produceBody, produceTo, temporaryDirectory } from './support/test-broker.js'

async function start(options?: BrokerOptions): Promise<Broker> {
  const broker = await startBroker(options)
  onTestFinished(() => broker.close())
  return broker
}

async function connect(broker: Broker): Promise<RawClient> {
  const client = await RawClient.connect(broker.port)
  onTestFinished(() => client.close())
  return client
}

async function createTopic(client: RawClient, name: string): Promise<void> {
  await client.request(metadata, 12, { topics: [{ name }] })
}

async function valuesFrom(client: RawClient, topic: string, end: number): Promise<string[]> {
  const values: string[] = []
  while (values.length < end) {
    const { errorCode, records } = await fetchFrom(client, topic, {
      offset: values.length,
      maxWaitMs: 5000,
      partitionMaxBytes: 10 << 20,
    })
    expect(errorCode).toBe(0)
    for (const { offset, value } of recordsIn(records))
      if (offset === values.length) values.push(String(value))
  }
  return values
}

describe.each(receivingWays)('with %s', (_way, receiving) => {
  receiving()

  test('what is produced comes back, in order, small and large', async () => {
    const broker = await start()
    const client = await connect(broker)
    await createTopic(client, 'orders')
    const values = Array.from({ length: 200 }, (_, i) => String(i).repeat(i % 10 === 0 ? 40_000 : 1 + i))
    const produced = await Promise.all(values.map((value) => produceTo(client, 'orders', value)))
    expect(produced.map(({ errorCode, baseOffset }) => [errorCode, baseOffset])).toEqual(
      values.map((_, i) => [0, i]),
    )
    expect(await valuesFrom(client, 'orders', values.length)).toEqual(values)
  })
})

test('a fetch that waits is woken by an append', async () => {
  const broker = await start()
  const [consumer, producer] = [await connect(broker), await connect(broker)]
  await createTopic(producer, 'orders')
  const answer = fetchFrom(consumer, 'orders', { maxWaitMs: 15_000 })
  await produceTo(producer, 'orders', 'x')
  expect(recordsIn((await answer).records)).toHaveLength(1)
})

test.each(['fsync', 'os'] as const)(
  'topics and records are there after a restart (%s)',
  async (durability) => {
    const data = await temporaryDirectory()
    const first = await start({ data, durability, nodeId: 5 })
    const client = await connect(first)
    await createTopic(client, 'orders')
    for (const value of ['a', 'b', 'c']) expect((await produceTo(client, 'orders', value)).errorCode).toBe(0)
    await first.close()
    const second = await start({ data, durability })
    expect([second.problems, second.clusterId]).toEqual([[], first.clusterId])
    const again = await connect(second)
    const { brokers, topics } = await again.request(metadata, 12, { topics: null })
    expect([brokers[0]!.nodeId, topics.map(({ name }) => name)]).toEqual([5, ['orders']])
    expect(await valuesFrom(again, 'orders', 3)).toEqual(['a', 'b', 'c'])
    expect((await produceTo(again, 'orders', 'd')).baseOffset).toBe(3)
  },
)

test("what the engine finds wrong with a batch is Kafka's code, and nothing of it is stored", async () => {
  const broker = await start({ maxBatchBytes: 1000 })
  const client = await connect(broker)
  await createTopic(client, 'orders')
  const changed = (change: (batch: Buffer) => void, sealed = true): Buffer => {
    const batch = Buffer.from(batchOf('a', 'b'))
    change(batch)
    if (sealed) batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
    return batch
  }
  const produceOne = async (batch: Buffer): Promise<number> =>
    (await client.request(produce, 9, produceBody('orders', batch))).responses[0]!.partitionResponses[0]!
      .errorCode
  const invalid = errors.INVALID_RECORD.code
  expect(await produceOne(changed((batch) => (batch[64]! ^= 4), false))).toBe(errors.CORRUPT_MESSAGE.code)
  expect(await produceOne(changed((batch) => batch.writeInt32BE(7, 57)))).toBe(invalid)
  expect(await produceOne(changed((batch) => batch.writeInt32BE(9, 23)))).toBe(invalid)
  expect(await produceOne(changed((batch) => batch.writeInt32BE(-1, 23)))).toBe(invalid)
  expect(await produceOne(batchOf('x'.repeat(2000)))).toBe(errors.MESSAGE_TOO_LARGE.code)
  expect(await produceOne(batchOf('good'))).toBe(0)
  expect(await valuesFrom(client, 'orders', 1)).toEqual(['good'])
})

test('offsets are found by time', async () => {
  const broker = await start()
  const client = await connect(broker)
  await createTopic(client, 'orders')
  await produceTo(client, 'orders', 'a', 'b')
  const find = async (timestamp: number) => {
    const topics = [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp }] }]
    const response = await client.request(listOffsets, 7, { replicaId: -1, isolationLevel: 0, topics })
    return response.topics[0]!.partitions[0]!
  }
  expect(await find(500)).toMatchObject({ errorCode: 0, offset: 0, timestamp: 1000 })
  expect(await find(1001)).toMatchObject({ errorCode: 0, offset: -1 })
  expect(await find(-3)).toMatchObject({ errorCode: 0, offset: 0, timestamp: 1000 })
})

test('a directory in use, and one of another cluster, are refused', async () => {
  const data = await temporaryDirectory()
  const broker = await start({ data })
  await expect(startBroker({ data })).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await broker.close()
  await expect(startBroker({ data, clusterId: 'another-cluster-000000' })).rejects.toMatchObject({
    code: 'VARVE_META_MISMATCH',
  })
  await (await startBroker({ data })).close()
})

test('a damaged metadata log stops the start in one line', async () => {
  const data = await temporaryDirectory()
  const first = await start({ data })
  const client = await connect(first)
  for (const topic of ['a', 'b', 'c']) await createTopic(client, topic)
  await first.close()
  const path = join(data, '__varve_metadata-0', '00000000000000000000.log')
  const file = await open(path, 'r+')
  await file.write(Buffer.from([0xff]), 0, 1, 75)
  await file.close()
  const failure = await startBroker({ data }).catch((error: Error) => error as Error & { code: string })
  expect(failure).toMatchObject({ code: 'VARVE_METADATA_CORRUPT' })
  expect((failure as Error).message).not.toContain('\n')
  // Nothing was put aside on the strength of a log that cannot be read.
  expect(readdirSync(data).filter((name) => name.endsWith('-stray'))).toEqual([])
})

test('metadata that recovery after a crash would have to cut stops the start, every time', async () => {
  const data = await temporaryDirectory()
  const broker = await start({ data })
  const client = await connect(broker)
  for (const topic of ['a', 'b', 'c']) await createTopic(client, topic)
  // What a crash leaves is what is on the disk now.
  const crashed = join(await temporaryDirectory(), 'data')
  await cp(data, crashed, { recursive: true, filter: (source) => !/\.(lock|tmp)$/.test(source) })
  const file = await open(join(crashed, '__varve_metadata-0', '00000000000000000000.log'), 'r+')
  await file.write(Buffer.from([0xff]), 0, 1, 75)
  await file.close()
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(startBroker({ data: crashed })).rejects.toMatchObject({ code: 'VARVE_METADATA_CORRUPT' })
  }
  expect(readdirSync(crashed).filter((name) => name.endsWith('-stray'))).toEqual([])
})

const kcat = ['/usr/bin/kcat', '/usr/local/bin/kcat', '/opt/homebrew/bin/kcat'].find((path) =>
  existsSync(path),
)

function runKcat(args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(kcat!, args, { timeout: 15_000, maxBuffer: 1 << 26 }, (error, stdout) => {
      if (error === null) resolve(stdout)
      else reject(error)
    })
    // It may end without reading all of it.
    child.stdin!.on('error', () => {})
    child.stdin!.end(input)
  })
}

describe.each(sendingWays)('by %s', (_way, sending) => {
  sending()

  test.skipIf(kcat === undefined)(
    'kcat reads back what kcat wrote (needs kcat: apt-get install kcat)',
    async () => {
      const broker = await start()
      const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`).join('\n') + '\n'
      for (const codec of ['none', 'gzip', 'lz4', 'snappy', 'zstd']) {
        const target = ['-b', broker.address, '-t', codec]
        await runKcat([...target, '-P', '-z', codec], lines)
        expect(await runKcat([...target, '-C', '-e', '-q'])).toBe(lines)
      }
    },
  )
})

test('a partition whose files are gone says what is gone, and is there again with them', async () => {
  const data = await temporaryDirectory()
  const elsewhere = await temporaryDirectory()
  const first = await start({ data })
  const client = await connect(first)
  for (const topic of ['emptied', 'lost', 'kept']) {
    await createTopic(client, topic)
    await produceTo(client, topic, 'x')
  }
  await first.close()
  const segment = join(data, 'emptied-0', '00000000000000000000.log')
  await rename(segment, join(elsewhere, 'copy'))
  await rename(join(data, 'lost-0'), join(elsewhere, 'lost-0'))
  const second = await start({ data })
  expect(second.problems).toEqual([
    expect.stringMatching(/^emptied-0: there are no log files in .*emptied-0; put them back from a copy/),
    expect.stringMatching(/^lost-0: its directory .*lost-0 is missing; put it back from a copy/),
  ])
  expect((await produceTo(await connect(second), 'kept', 'y')).baseOffset).toBe(1)
  await second.close()
  await rename(join(elsewhere, 'copy'), segment)
  await rename(join(elsewhere, 'lost-0'), join(data, 'lost-0'))
  const third = await start({ data })
  expect(third.problems).toEqual([])
  const after = await connect(third)
  for (const topic of ['emptied', 'lost']) expect((await produceTo(after, topic, 'y')).baseOffset).toBe(1)
})
