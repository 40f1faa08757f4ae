// Who finds nobody where a broker was has its lease revoked: so it had better be that broker that is gone.
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { BrokerRegistration } from '@varve/replication'
import { expect, test } from 'vitest'
import { BrokerPeers } from '../../src/cluster/broker-peers.js'
import type { ClusterMember } from '../../src/cluster/cluster-member.js'
import { PeerWatch } from '../../src/cluster/peer-watch.js'
import { ManualClock } from '../support/manual-clock.js'
import { settle } from '../support/test-broker.js'
import { registrationOf } from './support/replica.js'

/** A port of this machine on which nobody listens. */
async function deafPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function peersOf(): Promise<{
  peers: BrokerPeers
  refused: number[]
  register(brokerEpoch: number): void
}> {
  const endpoints = { PLAINTEXT: `127.0.0.1:${await deafPort()}` }
  let registration: BrokerRegistration = { ...registrationOf(2), endpoints }
  const refused: number[] = []
  const peers = new BrokerPeers({
    brokerId: 1,
    brokers: (id) => (id === 2 ? registration : undefined),
    listener: 'PLAINTEXT',
    tls: () => false,
    onRefused: (id) => refused.push(id),
  })
  const register = (brokerEpoch: number): void => {
    registration = { ...registration, brokerEpoch }
  }
  return { peers, refused, register }
}

test('a broker where nobody listens any more is told of', async () => {
  const { peers, refused } = await peersOf()
  await expect(peers.dial(2)).rejects.toMatchObject({ code: 'VARVE_CONNECTION_FAILED' })
  expect(refused).toEqual([2])
})

test('one that is registered anew while its former life is dialled is not', async () => {
  const { peers, refused, register } = await peersOf()
  const dialled = peers.dial(2)
  register(50)
  await expect(dialled).rejects.toMatchObject({ code: 'VARVE_CONNECTION_FAILED' })
  expect(refused).toEqual([])
})

test('a broker that is not registered, and any after the end, is not dialled', async () => {
  const { peers } = await peersOf()
  await expect(peers.dial(3)).rejects.toMatchObject({ code: 'VARVE_BROKER_NOT_REGISTERED' })
  peers.close()
  await expect(peers.dial(2)).rejects.toMatchObject({ code: 'VARVE_BROKER_CLOSED' })
})

test('the controller tries a broker that it cannot reach again, and leaves no timer behind', async () => {
  const clock = new ManualClock()
  let changed = (): void => {}
  const member = {
    image: {
      brokers: new Map([
        [1, {}],
        [2, {}],
      ]),
      controller: null,
    },
    isController: true,
    isUpToDate: true,
    onChange: (listener: () => void) => (changed = listener),
  } as unknown as ClusterMember
  let dials = 0
  let gone: (error: Error) => void = () => {}
  const shared = (): Promise<never> => {
    dials++
    return new Promise((_, reject) => (gone = reject))
  }
  const watch = new PeerWatch({ brokerId: 1, member, peers: { shared } as never, clock })
  changed()
  changed()
  expect(dials).toBe(1)
  gone(new Error('unreachable'))
  await settle()
  await clock.advance(250)
  await settle()
  expect(dials).toBe(2)
  watch.close()
  gone(new Error('the broker is closing'))
  await settle()
  expect([dials, clock.pending]).toEqual([2, 0])
})
