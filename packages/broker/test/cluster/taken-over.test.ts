// Two processes with one id and copies of one directory, as somebody makes them who restores a machine that still runs: the later
// one is the broker, and clients must not find the former one.
import { copyFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Producer } from '@varve/client/producer'
import { expect, onTestFinished, test } from 'vitest'
import { startBroker } from '../../src/start-broker.js'
import { borrowedMetadataStore } from '../../src/metadata/borrowed-metadata-store.js'
import { temporaryDirectory } from '../support/test-broker.js'
import { TestCluster } from './support/test-cluster.js'

test('a broker that another process has taken over closes, and says why', async () => {
  const cluster = await TestCluster.start(1)
  onTestFinished(() => cluster[Symbol.asyncDispose]())
  const former = cluster.brokers.get(1)!
  const data = await temporaryDirectory()
  // By this its data are known. Whatever else is there may be gone while it is copied.
  const identity = 'meta.properties'
  await copyFile(join(former.dataDirectories[0]!, identity), join(data, identity))
  const later = await startBroker({
    data,
    nodeId: 1,
    cluster: { openStore: async () => borrowedMetadataStore(cluster.store) },
  })
  onTestFinished(() => later.close())
  expect(await former.ended).toMatchObject({ code: 'VARVE_BROKER_ID_TAKEN' })
  const refused = new Promise((resolve) => connect(former.port, former.host).once('error', resolve))
  expect(await refused).toMatchObject({ code: 'ECONNREFUSED' })
  await using producer = new Producer({ brokers: [later.address] })
  await producer.send('orders', { value: 'v' })
  await later.close()
  expect(await later.ended).toBe(null)
})
