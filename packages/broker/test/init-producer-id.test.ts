// Two producers with the same id take each other's records for retries: what one wrote is silently thrown away. So no id
// may be handed out twice, whatever became of the broker in between, nor one that the disk does not know to be taken.
import { errors, initProducerId } from '@varve/protocol'
import { expect, test } from 'vitest'
import { metadataLogName } from '../src/metadata/metadata-log.js'
import { MemoryDisk } from './memory-log.js'
import type { RawClient } from './support/raw-client.js'
import { settle, startTestBroker, temporaryDirectory } from './support/test-broker.js'

const ask = (
  client: RawClient,
  version = 4,
  fields: { transactionalId?: string; producerId?: number; producerEpoch?: number } = {},
) => client.request(initProducerId, version, { transactionalId: null, transactionTimeoutMs: 1000, ...fields })

test.each([0, 1, 2, 3, 4, 5])('version %i hands out ids of epoch 0, each once', async (version) => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const answers = [await ask(client, version), await ask(client, version), await ask(client, version)]
  expect(answers.map(({ errorCode, producerEpoch }) => [errorCode, producerEpoch])).toEqual([
    [0, 0],
    [0, 0],
    [0, 0],
  ])
  expect(answers.map(({ producerId }) => producerId)).toEqual([0, 1, 2])
})

test('whoever asks at once gets an id of their own, over more than one block', async () => {
  const { connect } = await startTestBroker()
  const clients = await Promise.all(Array.from({ length: 5 }, connect))
  const ids = await Promise.all(
    clients.map(async (client) => {
      const mine: number[] = []
      for (let i = 0; i < 450; i++) mine.push((await ask(client)).producerId)
      return mine
    }),
  )
  expect(new Set(ids.flat()).size).toBe(5 * 450)
})

test('after a crash none is handed out again', async () => {
  const [disk, data] = [new MemoryDisk(), await temporaryDirectory()]
  const first = await startTestBroker({ disk, data })
  expect((await ask(await first.connect())).producerId).toBe(0)
  disk.crash()
  const second = await startTestBroker({ disk, data })
  const { producerId } = await ask(await second.connect())
  expect(producerId).toBe(1000)
})

test('no id is handed out before the disk knows that it is taken', async () => {
  const { connect, disk } = await startTestBroker()
  disk.log(metadataLogName).holdDurability()
  const client = await connect()
  const answer = ask(client)
  await settle()
  expect(client.hasUnread).toBe(false)
  await disk.log(metadataLogName).flush()
  expect((await answer).producerId).toBe(0)
})

test('a metadata log that takes no writes is a reason to ask again, and a line in the log', async () => {
  const { connect, disk, lines } = await startTestBroker()
  disk.log(metadataLogName).fail()
  const { errorCode, producerId } = await ask(await connect())
  expect([errorCode, producerId]).toEqual([errors.COORDINATOR_LOAD_IN_PROGRESS.code, -1])
  expect(errors.COORDINATOR_LOAD_IN_PROGRESS.retriable).toBe(true)
  expect(lines.at(-1)).toMatch(/^error no producer id could be set apart: /)
})

test('transactions are refused with a code that nobody retries', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  for (const version of [0, 5]) {
    const { errorCode, producerId } = await ask(client, version, { transactionalId: 'transfers' })
    expect([errorCode, producerId]).toEqual([errors.UNSUPPORTED_VERSION.code, -1])
  }
  expect(errors.UNSUPPORTED_VERSION.retriable).toBe(false)
})

test('an id without an epoch, or the reverse, is no request', async () => {
  const { connect } = await startTestBroker()
  const client = await connect()
  const invalid = errors.INVALID_REQUEST.code
  expect((await ask(client, 4, { producerId: 7 })).errorCode).toBe(invalid)
  expect((await ask(client, 4, { producerEpoch: 7 })).errorCode).toBe(invalid)
  expect((await ask(client, 4, { producerId: 7, producerEpoch: 7 })).errorCode).toBe(0)
})
