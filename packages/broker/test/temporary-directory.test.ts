/**
 * The failure this guards against: a broker does without flushes, or keeps to a clock that stands still, where somebody's data
 * are to survive.
 */
import { type DataDirectoryOptions, openDataDirectory } from '@varve/log'
import { expect, test } from 'vitest'
import { openBroker } from '../src/broker.js'
import { type BrokerOptions, resolveOptions } from '../src/broker-options.js'
import { ManualClock } from '../src/index.js'
import { temporaryDirectory } from './support/test-broker.js'

/** How a broker opens its directories. */
async function opened(options: BrokerOptions): Promise<DataDirectoryOptions[]> {
  const seen: DataDirectoryOptions[] = []
  const broker = await openBroker(resolveOptions(options), {
    openDataDirectory: async (dir, given = {}) => {
      seen.push(given)
      return await openDataDirectory(dir, given)
    },
  })
  await broker.close()
  return seen
}

test('nothing is flushed in a temporary directory, unless it is asked for', async () => {
  expect(await opened({})).toMatchObject([{ volatile: true }])
  expect(await opened({ durability: 'fsync' })).toMatchObject([{ volatile: false }])
})

test('everything else is flushed as ever, in each directory', async () => {
  const [first, second] = [await temporaryDirectory(), await temporaryDirectory()]
  expect(await opened({ data: [first, second] })).toMatchObject([{ volatile: false }, { volatile: false }])
  expect(await opened({ data: [first, second], durability: 'os' })).toMatchObject([
    { volatile: false },
    { volatile: false },
  ])
})

test('logs have the machine’s time, unless a test turns the clock', async () => {
  expect((await opened({}))[0]).not.toHaveProperty('timeMs')
  expect(await opened({ clock: new ManualClock(1_800_000_000_000) })).toMatchObject([
    { timeMs: 1_800_000_000_000 },
  ])
})
