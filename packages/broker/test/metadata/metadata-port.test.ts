// Brokers on worker threads go by what comes through a port. A promise that is never settled, or an error without its code, would have them
// wait for ever, or take for unknown what was refused.
import { MessageChannel } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { LocalMetadataStore } from '../../src/metadata/local-metadata-store.js'
import { metadataStoreThrough, serveMetadataStore } from '../../src/metadata/metadata-port.js'
import type { MetadataStore } from '../../src/metadata/metadata-store.js'
import { MemoryDisk } from '../memory-log.js'
import { ManualClock } from '../support/manual-clock.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { Followed } from './followed.js'
import { testMetadataStore } from './metadata-store-suite.js'

/** Another user's way to a store. */
function through(store: MetadataStore): MetadataStore {
  const { port1, port2 } = new MessageChannel()
  serveMetadataStore(store, port1)
  const user = metadataStoreThrough(port2)
  onTestFinished(() => user.close())
  return user
}

async function opened() {
  const directory = await new MemoryDisk().openDataDirectory(await temporaryDirectory())
  const clock = new ManualClock()
  const local = await LocalMetadataStore.open(directory, { durability: 'fsync', clock })
  onTestFinished(() => local.close())
  return { local, clock }
}

testMetadataStore(async () => {
  const { local, clock } = await opened()
  return {
    store: through(local),
    other: through(local),
    now: () => clock.now(),
    pass: (ms) => clock.advance(ms),
  }
})

test('what is under way when a user closes is answered, and the others go on', async () => {
  const { local } = await opened()
  const [user, other] = [through(local), through(local)]
  const followed = Followed.on(other)
  const late = user.txn({ puts: [{ key: '/a', value: '1' }] })
  await user.close()
  const { succeeded, revision } = await late
  await followed.until(revision)
  expect([succeeded, followed.values]).toEqual([true, { '/a': '1' }])
})

test('a user that is gone is told nothing any more', async () => {
  const { local } = await opened()
  const { port1, port2 } = new MessageChannel()
  const told: unknown[] = []
  const follow: MetadataStore['follow'] = (prefix, follower) => {
    const following = local.follow(prefix, follower)
    return {
      close: () => {
        told.push(prefix)
        following.close()
      },
    }
  }
  serveMetadataStore({ follow } as MetadataStore, port1)
  const user = metadataStoreThrough(port2)
  const followed = Followed.on(user, '/topics/')
  await expect.poll(() => followed.calls).toEqual(['reset'])
  port2.close()
  await expect.poll(() => told).toEqual(['/topics/'])
})

test('a store that is closed says so to whoever follows it through a port', async () => {
  const { local } = await opened()
  const user = through(local)
  await local.close()
  const followed = Followed.on(user)
  await expect.poll(() => followed.failures).toEqual(['VARVE_METADATA_CLOSED'])
  await expect(user.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_CLOSED' })
})

test('a thread that ends without an answer leaves nobody waiting', async () => {
  const { local } = await opened()
  const { port1, port2 } = new MessageChannel()
  const txn: MetadataStore['txn'] = () => new Promise(() => {})
  const follow: MetadataStore['follow'] = (prefix, follower) => local.follow(prefix, follower)
  serveMetadataStore({ txn, follow } as MetadataStore, port1)
  const user = metadataStoreThrough(port2)
  const followed = Followed.on(user)
  await expect.poll(() => followed.calls).toEqual(['reset'])
  const [asked, closing] = [user.txn({}), user.close()]
  port1.close()
  await expect(asked).rejects.toMatchObject({ code: 'VARVE_METADATA_OUTCOME_UNKNOWN' })
  await closing
})

test('whoever follows a store of a thread that ends is told, and asks in vain', async () => {
  const { local } = await opened()
  const { port1, port2 } = new MessageChannel()
  serveMetadataStore(local, port1)
  const user = metadataStoreThrough(port2)
  const followed = Followed.on(user)
  await expect.poll(() => followed.calls).toEqual(['reset'])
  port1.close()
  await expect.poll(() => followed.failures).toEqual(['VARVE_METADATA_CLOSED'])
  await expect(user.list('/')).rejects.toMatchObject({ code: 'VARVE_METADATA_CLOSED' })
  await user.close()
})
