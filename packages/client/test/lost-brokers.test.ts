// A broker that stands still takes connections, by its kernel, and answers nothing. Whoever asks it first for everything has each of
// these questions wait until its time is over, though the others would answer at once.

import { expect, onTestFinished, test } from 'vitest'
import { Admin } from '../src/admin.js'
import { ManualClock } from './manual-clock.js'
import { startCluster } from './scripted-consumer.js'

test('a broker that did not answer is asked last', async () => {
  const cluster = await startCluster(2)
  const [still, alive] = cluster.brokers
  const clock = new ManualClock()
  const admin = new Admin({ brokers: cluster.addresses, requestTimeoutMs: 500, clock })
  onTestFinished(() => admin.close())
  expect(await admin.listTopics()).toEqual([])
  still!.on('ApiVersions', () => undefined).on('Metadata', () => undefined)
  const asked = still!.count('Metadata')
  const listed = admin.listTopics()
  await still!.received('Metadata', asked)
  // Its question to the one that stands still is given up, and asked again.
  clock.advance(500)
  await clock.advanceToNext(499)
  expect(await listed).toEqual([])
  expect(still!.count('ApiVersions')).toBe(1)
  expect(alive!.count('Metadata')).toBe(1)
})
