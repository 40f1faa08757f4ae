// What gets past these checks is in the log for good. What is refused must be refused with a code that makes the client
// give up on that batch rather than send it again for ever, and must not take its neighbours with it.
import { errors, produce } from '@varve/protocol'
import { crc32c, encodeBatch } from '@varve/records'
import { expect, test } from 'vitest'
import { recordsIn } from './memory-log.js'
import { batchOf, fetchFrom, startTestBroker } from './support/test-broker.js'

/** A batch with some header bytes changed and, unless told otherwise, a CRC that fits. */
function changed(change: (batch: Buffer) => void, { sealed = true } = {}): Buffer {
  const batch = Buffer.from(batchOf('x'))
  change(batch)
  if (sealed) batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

const withAttributes = (bits: number): Buffer => changed((batch) => batch.writeInt16BE(bits, 21))
const large = encodeBatch([{ value: 'x'.repeat(2000), timestamp: 1 }], { compression: 'none' })

type Case = [
  what: string,
  records: Buffer | null,
  error: keyof typeof errors,
  message: RegExp,
  version?: number,
]

const cases: Case[] = [
  ['null', null, 'INVALID_RECORD', /must have at least one record batch/],
  ['nothing', Buffer.alloc(0), 'INVALID_RECORD', /must have at least one record batch/],
  ['a few bytes', Buffer.alloc(11), 'INVALID_RECORD', /must have at least one record batch/],
  ['half a batch', batchOf('x').subarray(0, 50), 'INVALID_RECORD', /are the beginning of one of/],
  ['zeros', Buffer.alloc(100), 'CORRUPT_MESSAGE', /less than the minimum/],
  [
    'a negative length',
    changed((batch) => batch.writeInt32BE(-5, 8)),
    'CORRUPT_MESSAGE',
    /less than the minimum/,
  ],
  [
    'a length of 20',
    changed((batch) => batch.writeInt32BE(20, 8)),
    'CORRUPT_MESSAGE',
    /smaller than its header/,
  ],
  ['magic 1', changed((batch) => batch.writeInt8(1, 16)), 'INVALID_RECORD', /magic version 2, not 1/],
  ['magic 0', changed((batch) => batch.writeInt8(0, 16)), 'INVALID_RECORD', /magic version 2, not 0/],
  ['magic 3', changed((batch) => batch.writeInt8(3, 16)), 'CORRUPT_MESSAGE', /magic version 3/],
  ['two batches', Buffer.concat([batchOf('x'), batchOf('y')]), 'INVALID_RECORD', /exactly one record batch/],
  ['a flipped bit', changed((batch) => (batch[62]! ^= 1), { sealed: false }), 'CORRUPT_MESSAGE', /CRC/],
  ['a base offset', changed((batch) => batch.writeInt32BE(5, 4)), 'INVALID_RECORD', /base offset .* is 5/],
  ['too many bytes', large, 'MESSAGE_TOO_LARGE', /exceeds the maximum configured value of 1000/],
  ['a control batch', withAttributes(0x20), 'INVALID_RECORD', /control records/],
  ['a transactional batch', withAttributes(0x10), 'UNSUPPORTED_FOR_MESSAGE_FORMAT', /transactions/],
  ['LogAppendTime', withAttributes(0x08), 'INVALID_TIMESTAMP', /LogAppendTime/],
  ['an unknown codec', withAttributes(5), 'UNSUPPORTED_COMPRESSION_TYPE', /type id: 5/],
  ['zstd in version 6', withAttributes(4), 'UNSUPPORTED_COMPRESSION_TYPE', /ZStandard/, 6],
]

test.each(cases)(
  '%s is refused and its neighbours are not',
  async (_what, records, error, message, version = 9) => {
    const { connect, createTopic } = await startTestBroker({ maxBatchBytes: 1000 })
    await createTopic('orders', 3)
    const client = await connect()
    const { responses } = await client.request(produce, version, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        {
          name: 'orders',
          partitionData: [
            { index: 0, records: batchOf('before') },
            { index: 1, records },
            { index: 2, records: batchOf('after') },
          ],
        },
      ],
    })
    const [before, refused, after] = responses[0]!.partitionResponses
    expect(refused).toMatchObject({ errorCode: errors[error].code, baseOffset: -1 })
    if (version >= 8) expect(refused!.errorMessage).toMatch(message)
    expect([before!.errorCode, after!.errorCode]).toEqual([0, 0])
    expect((await fetchFrom(client, 'orders', { partition: 1 })).highWatermark).toBe(0)
    expect(recordsIn((await fetchFrom(client, 'orders', { partition: 2 })).records)).toHaveLength(1)
  },
)

test('no client sends a batch again that was refused for what it is', () => {
  // CORRUPT_MESSAGE is the exception, Kafka's too: a batch damaged on its way is worth another try.
  for (const [, , name] of cases) if (name !== 'CORRUPT_MESSAGE') expect(errors[name].retriable).toBe(false)
})

test('compressed batches are stored as they came, zstd from version 7 on', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const gzip = encodeBatch([{ value: 'x'.repeat(500) }], { compression: 'gzip' })
  for (const records of [gzip, withAttributes(4), withAttributes(2)]) {
    const topicData = [{ name: 'orders', partitionData: [{ index: 0, records }] }]
    const { responses } = await client.request(produce, 7, { acks: 1, timeoutMs: 1000, topicData })
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  }
  const { records } = await fetchFrom(client, 'orders')
  expect(records!.subarray(12, gzip.length)).toEqual(gzip.subarray(12))
})

test('what is cut off behind the batch is not stored', async () => {
  const { connect, createTopic } = await startTestBroker()
  await createTopic('orders')
  const client = await connect()
  const records = Buffer.concat([batchOf('x'), batchOf('y').subarray(0, 40)])
  const topicData = [{ name: 'orders', partitionData: [{ index: 0, records }] }]
  const { responses } = await client.request(produce, 9, { acks: 1, timeoutMs: 1000, topicData })
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  expect((await fetchFrom(client, 'orders')).records).toHaveLength(batchOf('x').length)
})
