// Our clients behind TLS, with a certificate because the broker asks for one, and what they say where it cannot be.

import { expect, test } from 'vitest'
import { Admin, Connection, Consumer, Producer, type TlsOptions } from '../../src/index.js'
import { created, useRealBroker } from './real-broker.js'

const broker = useRealBroker()

test('what our clients write, our clients read', async () => {
  const { port, tls } = broker.secure
  const options = { brokers: [`127.0.0.1:${port}`], tls }
  await using admin = new Admin(options)
  await using producer = new Producer(options)
  await using consumer = new Consumer(options)
  await created(admin, { name: 'secret', partitions: 1 })
  const values = Array.from({ length: 40 }, (_, index) => `${index}:`.padEnd(100_000, 'x'))
  await Promise.all(values.map((value) => producer.send('secret', { value })))
  consumer.assign([{ topic: 'secret', partition: 0, offset: 'earliest', end: values.length }])
  const got: string[] = []
  for await (const { value } of consumer) got.push(String(value))
  expect(got).toEqual(values)
})

test('a group behind TLS', async () => {
  const { port, tls } = broker.secure
  const options = { brokers: [`127.0.0.1:${port}`], tls }
  await using producer = new Producer(options)
  await using admin = new Admin(options)
  await created(admin, { name: 'secret-of-a-group', partitions: 1 })
  await producer.send('secret-of-a-group', { value: 'v' })
  await using consumer = new Consumer({ ...options, groupId: 'insiders', offsetReset: 'earliest' })
  consumer.subscribe(['secret-of-a-group'])
  const { value } = await consumer.records().next()
  expect(String(value!.value)).toBe('v')
  await consumer.commit()
  expect(await admin.listGroupOffsets('insiders')).toMatchObject([{ offset: 1 }])
})

test('a client learns what is wrong, and whether waiting helps', async () => {
  const { port, tls } = broker.secure
  const dial = (options: false | TlsOptions): Promise<Connection> =>
    Connection.dial('127.0.0.1', port, { tls: options })
  await expect(dial(false)).rejects.toMatchObject({
    code: 'VARVE_CONNECTION_CLOSED',
    message: expect.stringContaining('If that listener speaks TLS, connect with tls'),
  })
  await expect(dial({ cert: tls.cert, key: tls.key })).rejects.toMatchObject({
    code: 'VARVE_TLS_FAILED',
    retriable: false,
    message: expect.stringMatching(/^No TLS connection to 127\.0\.0\.1:\d+: .*certificate/),
  })
  await expect(dial({ ca: tls.ca })).rejects.toMatchObject({ code: 'VARVE_TLS_FAILED' })
  await using producer = new Producer({ brokers: [`127.0.0.1:${port}`], tls: { ca: tls.ca } })
  await expect(producer.send('secret', { value: 'x' })).rejects.toMatchObject({
    message: expect.stringContaining('certificate'),
  })
})
