// One bad record refuses its batch. A producer that is told which one can leave it out and send the others again; one that
// is told nothing, or the wrong one, loses them all.
import { errors, fetch, produce } from '@varve/protocol'
import { type Compression, encodeBatch, type RecordInput } from '@varve/records'
import { expect, test } from 'vitest'
import { systemClock } from '../src/clock.js'
import { createWith } from './support/configs.js'
import type { RawClient } from './support/raw-client.js'
import { fetchBody, produceBody, startTestBroker } from './support/test-broker.js'

const hour = 3_600_000

/** Timestamps and keys are for the engine to judge, by the machine's clock. */
async function started(topic: string, configs: Record<string, string>) {
  const test = await startTestBroker({ engine: true, clock: systemClock, maxBatchBytes: 4 << 20 })
  const client = await test.connect()
  await createWith(client, topic, configs)
  return { ...test, client }
}

async function send(
  client: RawClient,
  topic: string,
  records: readonly RecordInput[],
  version = 9,
  compression: Compression = 'none',
) {
  const batch = encodeBatch(records, { compression })
  const { responses } = await client.request(produce, version, produceBody(topic, batch))
  return responses[0]!.partitionResponses[0]!
}

test.each(['none', 'zstd'] as const)(
  'records without a key are named in a topic that compacts (%s)',
  async (codec) => {
    const { client } = await started('state', { 'cleanup.policy': 'compact' })
    const records = [{ key: 'k', value: 'a' }, { value: 'b' }, { key: '', value: 'c' }, { value: 'd' }]
    const answer = await send(client, 'state', records, 9, codec)
    expect([answer.errorCode, answer.baseOffset]).toEqual([errors.INVALID_RECORD.code, -1])
    const message = 'Compacted topic cannot accept message without key in topic partition state-0'
    expect(answer.recordErrors).toEqual([
      { batchIndex: 1, batchIndexErrorMessage: message },
      { batchIndex: 3, batchIndexErrorMessage: message },
    ])
    expect(answer.errorMessage).toContain('One or more records have been rejected')
    expect((await send(client, 'state', [{ key: 'k', value: 'a' }], 9, codec)).errorCode).toBe(0)
  },
)

test('versions below 8 have the code alone', async () => {
  const { client } = await started('state', { 'cleanup.policy': 'compact' })
  expect(await send(client, 'state', [{ value: 'b' }], 7)).toMatchObject({
    errorCode: errors.INVALID_RECORD.code,
    recordErrors: [],
    errorMessage: null,
  })
})

test('records of a batch that expands too far to look for them between other requests are not named', async () => {
  const { client } = await started('recent', {})
  const of = (bytes: number) =>
    send(client, 'recent', [{ value: 'x'.repeat(bytes), timestamp: Date.now() + 2 * hour }], 9, 'gzip')
  expect((await of(1000)).recordErrors).toHaveLength(1)
  expect(await of(2 << 20)).toMatchObject({ errorCode: errors.INVALID_TIMESTAMP.code, recordErrors: [] })
})

test('of keys and times that are wrong, times decide on the code, and each record is named for one', async () => {
  const { client } = await started('state', { 'cleanup.policy': 'compact' })
  const ahead = Date.now() + 2 * hour
  const records = [
    { value: 'no key' },
    { key: 'k', value: 'ahead', timestamp: ahead },
    { value: 'both', timestamp: ahead },
  ]
  const { errorCode, recordErrors } = await send(client, 'state', records)
  expect(errorCode).toBe(errors.INVALID_TIMESTAMP.code)
  expect(recordErrors.map(({ batchIndexErrorMessage }) => batchIndexErrorMessage!.split(' ')[0])).toEqual([
    'Compacted',
    'Timestamp',
    'Compacted',
  ])
})

test('a batch that could not be in a segment is refused', async () => {
  const { client } = await started('large', {
    'segment.bytes': String(1 << 20),
    'max.message.bytes': String(3 << 20),
  })
  const of = (bytes: number) => send(client, 'large', [{ value: 'x'.repeat(bytes) }])
  expect(await of(2 << 20)).toMatchObject({
    errorCode: errors.RECORD_LIST_TOO_LARGE.code,
    errorMessage: expect.stringContaining('maximum configured segment size of 1048576'),
  })
  expect((await of(4 << 20)).errorCode).toBe(errors.MESSAGE_TOO_LARGE.code)
  expect((await of(1000)).errorCode).toBe(0)
})

test('a topic whose codec is zstd is for clients that know zstd', async () => {
  const { client } = await started('packed', { 'compression.type': 'zstd' })
  await send(client, 'packed', [{ value: 'x'.repeat(500) }])
  const codeAt = async (version: number): Promise<number> => {
    const { responses } = await client.request(fetch, version, fetchBody('packed'))
    return responses[0]!.partitions[0]!.errorCode
  }
  expect([await codeAt(9), await codeAt(10)]).toEqual([errors.UNSUPPORTED_COMPRESSION_TYPE.code, 0])
})

test('a retry is answered with the time of the original where the log gives the times', async () => {
  const { client } = await started('stamped', { 'message.timestamp.type': 'LogAppendTime' })
  const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 }
  const answers = []
  for (let attempt = 0; attempt < 2; attempt++) {
    const batch = encodeBatch([{ value: 'a', timestamp: 1000 }], { producer })
    const { responses } = await client.request(produce, 9, produceBody('stamped', batch))
    const { errorCode, baseOffset, logAppendTimeMs } = responses[0]!.partitionResponses[0]!
    answers.push({ errorCode, baseOffset, logAppendTimeMs })
    const told = Date.now()
    while (Date.now() === told) await new Promise((resolve) => setImmediate(resolve))
  }
  expect(answers[0]!.logAppendTimeMs).toBeGreaterThan(1000)
  expect(answers[1]).toEqual(answers[0])
})
