// Nobody looks into a batch after it is stored but its consumers, who fail on what they find. So the log looks into it
// before, compressed or not, and the producer must be told in a code that makes it give up.
import { errors, produce } from '@varve/protocol'
import { compress, type Compression, crc32c, encodeBatch } from '@varve/records'
import { expect, test } from 'vitest'
import { alter, BROKER, createWith, TOPIC } from './support/configs.js'
import { fetchFrom, produceBody, startTestBroker } from './support/test-broker.js'

const codecs: Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

function batch(compression: Compression, change: (batch: Buffer) => void = () => {}): Buffer {
  const values = ['a', 'b', 'c'].map((value) => ({ value: value.repeat(100), timestamp: Date.now() }))
  const encoded = Buffer.from(encodeBatch(values, { compression }))
  change(encoded)
  encoded.writeUInt32BE(crc32c(encoded.subarray(21)), 17)
  return encoded
}

/** Tells a count, and the last offset that goes with it. */
const claims = (count: number) => (batch: Buffer) => {
  batch.writeInt32BE(count - 1, 23)
  batch.writeInt32BE(count, 57)
}

const lies: [what: string, lie: (batch: Buffer) => void][] = [
  ['fewer records than there are', claims(2)],
  ['more records than there are', claims(4)],
  ['no records', claims(0)],
  ['offsets that the count contradicts', (batch) => batch.writeInt32BE(5, 23)],
]

test.each(codecs.flatMap((codec) => lies.map(([what, lie]) => [codec, what, lie] as const)))(
  'a batch under %s that tells of %s is refused, and nothing is stored',
  async (codec, _what, lie) => {
    const { connect, createTopic } = await startTestBroker({ engine: true })
    await createTopic('orders')
    const client = await connect()
    const { responses } = await client.request(produce, 9, produceBody('orders', batch(codec, lie)))
    expect(responses[0]!.partitionResponses[0]).toMatchObject({
      errorCode: errors.INVALID_RECORD.code,
      baseOffset: -1,
      errorMessage: expect.stringContaining('record'),
    })
    const good = await client.request(produce, 9, produceBody('orders', batch(codec)))
    expect(good.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect((await fetchFrom(client, 'orders')).highWatermark).toBe(3)
  },
)

test.each(codecs.slice(1))('bytes that are no %s are refused', async (codec) => {
  const { connect, createTopic } = await startTestBroker({ engine: true })
  await createTopic('orders')
  const client = await connect()
  const spoilt = batch(codec, (bytes) => bytes.fill(0xa5, 61))
  const { responses } = await client.request(produce, 9, produceBody('orders', spoilt))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(errors.INVALID_RECORD.code)
})

test('a megabyte that expands to a gigabyte is refused, while others are served', async () => {
  const { connect, createTopic } = await startTestBroker({ engine: true })
  await createTopic('orders', 4)
  const frame = compress('zstd', Buffer.alloc(1 << 20))
  const section = Buffer.concat(Array.from({ length: 1024 }, () => frame))
  const bomb = Buffer.concat([batch('zstd').subarray(0, 61), section])
  bomb.writeInt32BE(bomb.length - 12, 8)
  bomb.writeUInt32BE(crc32c(bomb.subarray(21)), 17)
  const before = process.memoryUsage.rss()
  const bombs = Array.from({ length: 4 }, async (_, partition) => {
    const client = await connect()
    const { responses } = await client.request(produce, 9, produceBody('orders', bomb, { index: partition }))
    return responses[0]!.partitionResponses[0]!
  })
  let most = 0
  const other = await connect()
  const waiting = new Set(bombs)
  for (const answer of bombs) void answer.finally(() => waiting.delete(answer))
  while (waiting.size > 0) {
    expect((await fetchFrom(other, 'orders', { maxWaitMs: 0 })).errorCode).toBe(0)
    most = Math.max(most, process.memoryUsage.rss() - before)
  }
  for (const answer of await Promise.all(bombs)) {
    expect(answer).toMatchObject({
      errorCode: errors.INVALID_RECORD.code,
      errorMessage: expect.stringContaining('expands to more than 268435456 bytes'),
    })
  }
  // Of one, and of each thread what it may hold beside the others.
  expect(most).toBeLessThan(700 << 20)
})

test('max.decompressed.message.bytes is what a record of a compressed batch may have, of the topic or else of the broker', async () => {
  const { connect } = await startTestBroker({ engine: true })
  const client = await connect()
  const name = 'max.decompressed.message.bytes'
  await createWith(client, 'orders', { [name]: '50' })
  const send = async (compression: Compression) => {
    const { responses } = await client.request(produce, 9, produceBody('orders', batch(compression)))
    return responses[0]!.partitionResponses[0]!
  }
  expect(await send('gzip')).toMatchObject({
    errorCode: errors.INVALID_RECORD.code,
    errorMessage: expect.stringContaining('the log accepts at most 50 in a compressed batch'),
  })
  expect(await send('none')).toMatchObject({ errorCode: 0 })
  await alter(client, TOPIC, 'orders', [['delete', name, null]])
  expect(await send('gzip')).toMatchObject({ errorCode: 0 })
  expect((await alter(client, BROKER, '', [['set', name, '50']])).errorMessage).toBeNull()
  expect(await send('gzip')).toMatchObject({ errorCode: errors.INVALID_RECORD.code })
})
