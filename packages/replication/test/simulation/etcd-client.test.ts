// What a broker may learn of the store through a network that loses, delays and cuts: less than there is, never something else.

import type { MetadataEntry, MetadataOutcome } from '@varve/replication'
import { expect, test } from 'vitest'
import { EtcdClient } from './etcd-client.js'
import { EtcdServer, type EtcdServerOptions } from './etcd-server.js'
import { Etcd, type Listing } from './etcd.js'
import { Network, type NetworkOptions } from './network.js'
import { SimulatedNode } from './node.js'
import { Random } from './random.js'
import { VirtualTime } from './virtual-time.js'

const store = 0

function connect({
  seed = 1,
  clients = 1,
  ...options
}: { seed?: number; clients?: number } & Partial<NetworkOptions<never>> & Partial<EtcdServerOptions> = {}) {
  const time = new VirtualTime()
  const random = new Random(seed)
  const network = new Network<never>({ time, random: random.fork('network'), ...options })
  const etcd = new Etcd({ time, random: random.fork('etcd') })
  const node = new SimulatedNode(time, store)
  const server = new EtcdServer({ time, random: random.fork('server'), ...options, etcd, network, node })
  const nodes = Array.from({ length: clients }, (_, i) => new SimulatedNode(time, i + 1))
  const [client, ...others] = nodes.map((node) => new EtcdClient({ node, server }))
  return { time, random, network, etcd, server, nodes, client: client!, others }
}

/** What it knows of the store, and whether each thing that it knew was once true. */
class Image {
  readonly entries = new Map<string, MetadataEntry>()
  revision = 0
  resets = 0
  readonly #client: EtcdClient
  readonly #pasts: ReadonlyMap<number, string>

  constructor(client: EtcdClient, pasts: ReadonlyMap<number, string>) {
    this.#client = client
    this.#pasts = pasts
  }

  follow(): void {
    this.#client.follow('/', {
      reset: (entries, revision) => {
        this.resets++
        this.entries.clear()
        for (const entry of entries) this.entries.set(entry.key, entry)
        this.#learned(revision)
      },
      events: (events, revision) => {
        for (const event of events) {
          if (event.kind === 'delete') this.entries.delete(event.key)
          else this.entries.set(event.key, event)
        }
        this.#learned(revision)
      },
    })
  }

  #learned(revision: number): void {
    expect(revision).toBeGreaterThan(this.revision)
    this.revision = revision
    expect(fingerprint([...this.entries.values()])).toBe(this.#pasts.get(revision))
  }
}

function fingerprint(entries: readonly MetadataEntry[]): string {
  return entries
    .map(({ key, value, revision }) => `${key}=${value}@${revision}`)
    .sort()
    .join()
}

/** What the store held at each revision. */
function pastsOf(etcd: Etcd): Map<number, string> {
  const all = (): string => fingerprint((etcd.list('/') as Listing).entries)
  const pasts = new Map([[etcd.revision, all()]])
  etcd.onCommit = ({ revision }) => pasts.set(revision, all())
  return pasts
}

test('requests are answered', () => {
  const { time, client } = connect()
  const answers: unknown[] = []
  client.grantLease(3, (lease) => {
    answers.push(lease)
    client.transaction({ puts: [{ key: '/a', value: '1', lease: lease! }] }, (outcome) =>
      answers.push(outcome),
    )
    client.transaction({ compares: [{ key: '/b', revision: 7 }] }, (outcome) => answers.push(outcome))
    client.keepAlive(lease!, (answer) => answers.push(answer))
    time.after(100, () => client.list('/', (listing) => answers.push(listing)))
    time.after(200, () => client.revokeLease(lease!, (answer) => answers.push(answer)))
    time.after(300, () => client.keepAlive(lease!, (answer) => answers.push(answer)))
  })
  time.runUntil(1000)
  expect(answers.slice(1, 4)).toEqual(
    expect.arrayContaining([{ kind: 'succeeded', revision: 2 }, { kind: 'failed' }, 'kept']),
  )
  const entries = [{ key: '/a', value: '1', revision: 2, lease: answers[0] }]
  expect(answers.slice(4)).toEqual([{ entries, revision: 2 }, 'revoked', 'lost'])
})

test('an outcome is unknown when the request is lost, when the answer is, and when it is applied too late', () => {
  const { time, network, etcd, server, client } = connect()
  const outcomes: MetadataOutcome[] = []
  const put = (key: string): void =>
    client.transaction({ puts: [{ key, value: '' }] }, (outcome) => outcomes.push(outcome))
  network.cut(1, store)
  put('/request-lost')
  network.heal(1, store)
  network.cut(store, 1)
  put('/answer-lost')
  time.runUntil(1000)
  network.heal(store, 1)
  expect([outcomes, etcd.get('/answer-lost')?.revision]).toEqual([[], 2])
  time.runUntil(3000)
  server.lateRequest = { chance: 1, maxMs: 60_000 }
  put('/late')
  time.runUntil(5000)
  const unknown = { kind: 'unknown' }
  expect([outcomes, etcd.get('/late')]).toEqual([[unknown, unknown, unknown], undefined])
  time.runUntil(70_000)
  expect([outcomes.length, etcd.get('/late')?.revision, etcd.get('/request-lost')]).toEqual([3, 3, undefined])
})

test('without a leader the store does nothing, and some of it later', () => {
  const { time, etcd, server, client } = connect()
  server.changeLeader(3000)
  const outcomes: MetadataOutcome[] = []
  for (let i = 0; i < 20; i++) {
    client.transaction({ puts: [{ key: `/${i}`, value: '' }] }, (outcome) => outcomes.push(outcome))
  }
  time.runUntil(2999)
  expect([etcd.revision, outcomes.map(({ kind }) => kind)]).toEqual([1, Array(20).fill('unknown')])
  time.runUntil(4000)
  expect(etcd.revision).toBeGreaterThan(3)
  expect(etcd.revision).toBeLessThan(20)
})

test('what is known as succeeded or failed is, whatever gets lost', () => {
  let unknown = 0
  let applied = 0
  for (let seed = 0; seed < 10; seed++) {
    const lateRequest = { chance: 0.05, maxMs: 5000 }
    const { time, random, etcd, server, client, others } = connect({
      seed,
      clients: 3,
      loss: 0.05,
      reorder: 0.5,
      lateRequest,
    })
    const commits = new Map<string, number>()
    etcd.onCommit = ({ events, revision }) => {
      for (const event of events) if (event.kind === 'put') commits.set(event.value, revision)
    }
    const outcomes = new Map<string, MetadataOutcome>()
    const clients = [client, ...others]
    for (let i = 0; i < 150; i++) {
      time.at(i * 50, () => {
        const revision = etcd.get('/x')?.revision ?? 0
        const value = `${seed}-${i}`
        random
          .pick(clients)
          .transaction({ compares: [{ key: '/x', revision }], puts: [{ key: '/x', value }] }, (outcome) => {
            expect(outcomes.has(value)).toBe(false)
            outcomes.set(value, outcome)
          })
      })
    }
    time.at(3000, () => server.changeLeader(1500))
    time.runUntil(60_000)
    expect(outcomes.size).toBe(150)
    for (const [value, outcome] of outcomes) {
      if (outcome.kind === 'succeeded') expect(commits.get(value)).toBe(outcome.revision)
      if (outcome.kind === 'failed') expect(commits.has(value)).toBe(false)
      if (outcome.kind === 'unknown') {
        unknown++
        if (commits.has(value)) applied++
      }
    }
  }
  expect(applied).toBeGreaterThan(10)
  expect(unknown).toBeGreaterThan(applied)
})

test('a follower of the store sees its states one after the other, and catches up after every fault', () => {
  let resets = 0
  for (let seed = 0; seed < 20; seed++) {
    const lateRequest = { chance: 0.2, maxMs: 4000 }
    const { time, random, network, etcd, server, nodes, client } = connect({
      seed,
      loss: 0.03,
      reorder: 0.3,
      lateRequest,
    })
    const image = new Image(client, pastsOf(etcd))
    image.follow()
    for (let i = 0; i < 300; i++) {
      time.at(i * 100, () => {
        const key = `/${random.int(0, 9)}`
        if (random.chance(0.2)) etcd.transaction({ deletes: [key] })
        else
          etcd.transaction({
            puts: [
              { key, value: String(i) },
              { key: '/last', value: String(i) },
            ],
          })
        if (random.chance(0.03)) etcd.compact(etcd.revision)
        if (random.chance(0.03)) network.cut(1, store)
        if (random.chance(0.03)) network.cut(store, 1)
        if (random.chance(0.05)) network.healAll()
        if (random.chance(0.03)) nodes[0]!.pause()
        if (random.chance(0.05)) nodes[0]!.resume()
        if (random.chance(0.03)) server.delayWatch(1, random.pick([0, 3000]))
        if (random.chance(0.01)) server.changeLeader(1000)
      })
    }
    time.runUntil(30_000)
    network.healAll()
    network.loss = 0
    nodes[0]!.resume()
    server.delayWatch(1, 0)
    server.lateRequest = { chance: 0, maxMs: 0 }
    // A stream that broke is noticed when something comes, at the latest.
    etcd.transaction({ puts: [{ key: '/end', value: '' }] })
    time.runUntil(60_000)
    expect([seed, image.revision]).toEqual([seed, etcd.revision])
    resets += image.resets
  }
  expect(resets).toBeGreaterThan(40)
})

test('a delayed watch is late, not out of order, and a stale list is stale', () => {
  const { time, etcd, server, client } = connect()
  const revisions: number[] = []
  client.follow('/', { reset: () => {}, events: (_, revision) => void revisions.push(revision) })
  time.runUntil(100)
  server.delayWatch(1, 5000)
  etcd.transaction({ puts: [{ key: '/a', value: '' }] })
  server.delayWatch(1, 0)
  etcd.transaction({ puts: [{ key: '/b', value: '' }] })
  time.runUntil(5000)
  expect(revisions).toEqual([])
  time.runUntil(6000)
  expect(revisions).toEqual([2, 3])
  const listed = new Set<number>()
  for (let i = 0; i < 50; i++)
    client.list('/', (listing) => listed.add(listing!.revision), { serializable: true })
  time.runUntil(7000)
  expect([...listed].sort()).toEqual([1, 2, 3])
  client.list('/', (listing) => expect(listing?.revision).toBe(3))
  time.runUntil(8000)
})

test('a life of a client gets no answer of a former one, and a closed client none at all', () => {
  const { time, etcd, server, nodes, client } = connect()
  const answers: string[] = []
  client.follow('/', { reset: () => answers.push('reset'), events: () => answers.push('events') })
  time.runUntil(100)
  client.transaction({ puts: [{ key: '/a', value: '' }] }, () => answers.push('outcome'))
  nodes[0]!.crash()
  nodes[0]!.start()
  const second = new EtcdClient({ node: nodes[0]!, server })
  second.follow('/', {
    reset: () => answers.push('second reset'),
    events: () => answers.push('second events'),
  })
  time.runUntil(200)
  second.close()
  etcd.transaction({ puts: [{ key: '/b', value: '' }] })
  time.runUntil(10_000)
  expect(answers.filter((answer) => answer !== 'second events')).toEqual(['reset', 'second reset'])
})
