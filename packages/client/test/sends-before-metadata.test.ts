/**
 * A program that starts by sending everything it has does so before the first metadata has come. Two hundred thousand
 * waiting records once became two hundred thousand arguments of one call, which do not fit on the stack: they were lost,
 * and their promises stayed pending for ever.
 */
import { expect, test } from 'vitest'
import { startBroker } from '@varve/broker'
import { Producer } from '../src/index.js'

test('two hundred thousand records sent at once, before anything is known of their topic', async () => {
  const count = 200_000
  const broker = await startBroker()
  const producer = new Producer({ brokers: [broker.address] })
  try {
    const value = Buffer.from('x')
    const deliveries = await Promise.all(
      Array.from({ length: count }, () => producer.send('burst', { value })),
    )
    expect(deliveries.at(0)!.offset).toBe(0)
    expect(deliveries.at(-1)!.offset).toBe(count - 1)
  } finally {
    await producer.close({ discard: true })
    await broker.close()
  }
})
