// Brokers die and come back, leaders change their ISR, requests come, transactions get lost or are applied late, and controllers replace each
// other in the middle. Whatever happens, what is put is compared, an epoch has one leader, a leader is in sync or eligible, nobody is
// unfenced on what a former life left, and once it is quiet there is nothing left to do.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  brokerKey,
  ClusterImage,
  Controller,
  controllerKey,
  decodeBrokerRegistration,
  decodePartitionState,
  encodeBrokerRegistration,
  encodeControllerRegistration,
  encodePartitionState,
  noBroker,
  originalReplicas,
  partitionKey,
  partitionKeyPrefix,
  type ControllerOutput,
  type ControllerRequest,
  type MetadataTransaction,
  type PartitionState,
} from '@varve/replication'
import { MemoryStore } from './memory-store.js'

const brokerIds = [1, 2, 3, 4]
type Transaction = Extract<ControllerOutput, { kind: 'transaction' }>

class Life {
  readonly image = new ClusterImage()
  readonly controller: Controller
  readonly store: MemoryStore
  #seen: number
  readonly unsettled: Transaction[] = []

  constructor(store: MemoryStore, brokerId: number, now: number) {
    this.store = store
    const value = encodeControllerRegistration({ brokerId })
    const puts = [{ key: controllerKey, value, lease: `controller ${brokerId}` }]
    // Its image may be behind the put: it is to wait for it.
    this.image.reset(store.entries, store.revision)
    this.#seen = store.events.length
    const controllerRevision = store.commit({ puts })!
    const { image } = this
    const config = { defaultMinInsyncReplicas: 2, leaderImbalanceCheckIntervalMs: 500 }
    this.controller = new Controller({ brokerId, controllerRevision, image, config, now })
  }

  /** Sees the next transactions' events. */
  watch(revisions: number, now: number): void {
    const { events } = this.store
    for (let left = revisions; left > 0 && this.#seen < events.length; left -= 1) {
      const { revision } = events[this.#seen]!
      const together = events.slice(this.#seen).filter((event) => event.revision === revision)
      this.#seen += together.length
      for (const event of together) {
        this.image.apply(event)
      }
      this.controller.imageChanged(together, now)
    }
    for (const output of this.controller.take()) {
      if (output.kind === 'transaction') {
        this.unsettled.push(output)
      }
    }
  }
}

class World {
  readonly store = new MemoryStore()
  now = 0
  topics = 0
  lives: Life[] = []
  /** Whose outcome was not told, and which may yet be applied. */
  readonly lingering: MetadataTransaction[] = []
  readonly leaders = new Map<string, number>()
  /** The topics whose partitions may have been elected uncleanly. */
  hasUnclean = false

  get life(): Life {
    return this.lives.at(-1)!
  }

  commit(transaction: MetadataTransaction): number | null {
    const before = new Map(this.store.entries.map((entry) => [entry.key, entry]))
    const revision = this.store.commit(transaction)
    if (revision === null) {
      return null
    }
    const compared = new Map(transaction.compares!.map((each) => [each.key, each.revision]))
    expect(compared.has(controllerKey)).toBe(true)
    for (const { key } of transaction.puts ?? []) {
      expect(compared.has(key), key).toBe(true)
      if (key.startsWith(partitionKeyPrefix)) {
        const old = before.get(key)
        const next = decodePartitionState(this.store.get(key)!)
        this.#checkState(key, old === undefined ? null : decodePartitionState(old), next, compared)
      } else if (key.startsWith('/brokers/')) {
        this.#checkUnfencing(key)
      }
    }
    return revision
  }

  #checkState(
    key: string,
    old: PartitionState | null,
    next: PartitionState,
    compared: ReadonlyMap<string, number>,
  ): void {
    for (const each of [...next.isr, ...next.eligibleLeaderReplicas]) {
      expect(next.replicas).toContain(each)
    }
    if (next.isr.length >= next.minInsyncReplicas) {
      expect(next.eligibleLeaderReplicas).toEqual([])
    }
    if (next.leader !== noBroker) {
      expect(next.isr).toContain(next.leader)
      const epoch = `${key} ${next.leaderEpoch}`
      expect(this.leaders.get(epoch) ?? next.leader).toBe(next.leader)
      this.leaders.set(epoch, next.leader)
    }
    if (old === null) {
      return
    }
    expect(next.leaderEpoch).toBeGreaterThanOrEqual(old.leaderEpoch)
    const hadAll = [...old.isr, ...old.eligibleLeaderReplicas]
    const isClean = [...next.isr, ...next.eligibleLeaderReplicas].every((each) => hadAll.includes(each))
    // The only replica is elected whatever it has lost: nobody has more.
    expect(isClean || this.hasUnclean || originalReplicas(old).length === 1).toBe(true)
    if (next.leaderEpoch > old.leaderEpoch && next.leader !== noBroker) {
      expect(compared.get(brokerKey(next.leader))).toBe(this.store.get(brokerKey(next.leader))!.revision)
    }
    if (old.replicas.some((each) => !next.replicas.includes(each))) {
      expect(next.leaderEpoch).toBeGreaterThan(old.leaderEpoch)
    }
  }

  #checkUnfencing(key: string): void {
    const { brokerId, mayHaveLostRecords, fenced } = decodeBrokerRegistration(this.store.get(key)!)
    expect(fenced).toBe(false)
    for (const state of this.states()) {
      // One that was made meanwhile has nothing that a former life could have lost.
      if (state.leaderEpoch > 0) {
        expect(state.leader).not.toBe(brokerId)
        expect(state.isr).not.toContain(brokerId)
        expect(mayHaveLostRecords && state.eligibleLeaderReplicas.includes(brokerId)).toBe(false)
      }
    }
  }

  states(): PartitionState[] {
    return this.store.entries
      .filter(({ key }) => key.startsWith(partitionKeyPrefix))
      .map(decodePartitionState)
  }

  settle(index: number, how: number): void {
    const { unsettled, controller } = this.life
    if (unsettled.length === 0) {
      return
    }
    const [{ id, transaction }] = unsettled.splice(index % unsettled.length, 1) as [Transaction]
    if (how === 1) {
      this.lingering.push(transaction)
      controller.settled(id, { kind: 'unknown' }, this.now)
    } else {
      const revision = this.commit(transaction)
      const outcome =
        revision === null ? ({ kind: 'failed' } as const) : ({ kind: 'succeeded', revision } as const)
      controller.settled(id, how === 2 ? { kind: 'unknown' } : outcome, this.now)
    }
  }

  register(brokerId: number, mayHaveLostRecords: boolean, shuttingDown = false): void {
    const registration = {
      brokerId,
      incarnationId: 'i',
      directoryId: 'd',
      rack: null,
      endpoints: {},
      offlineReplicas: [],
    }
    const present = this.store.get(brokerKey(brokerId))
    const { brokerEpoch, fenced } =
      shuttingDown && present !== undefined
        ? decodeBrokerRegistration(present)
        : { brokerEpoch: null, fenced: true }
    const value = encodeBrokerRegistration({
      ...registration,
      brokerEpoch,
      fenced,
      mayHaveLostRecords,
      shuttingDown,
    })
    this.store.commit({ puts: [{ key: brokerKey(brokerId), value, lease: `lease ${brokerId}` }] })
  }

  /** A leader takes everybody live into its ISR. */
  expand(index: number): void {
    const states = this.states().filter(({ leader }) => this.isLive(leader))
    const state = states[index % Math.max(1, states.length)]
    if (state === undefined) {
      return
    }
    const isr = state.replicas.filter((each) => state.isr.includes(each) || this.isLive(each))
    const eligibleLeaderReplicas =
      isr.length >= state.minInsyncReplicas
        ? []
        : state.eligibleLeaderReplicas.filter((each) => !isr.includes(each))
    const key = partitionKey(state.topicId, state.partition)
    this.store.commit({
      puts: [{ key, value: encodePartitionState({ ...state, isr, eligibleLeaderReplicas }) }],
    })
  }

  isLive(brokerId: number): boolean {
    const entry = this.store.get(brokerKey(brokerId))
    const registration = entry === undefined ? undefined : decodeBrokerRegistration(entry)
    return registration !== undefined && !registration.fenced && !registration.shuttingDown
  }

  /** Nothing fails any more: goes on until there is nothing left to do. */
  quieten(): void {
    for (const transaction of this.lingering.splice(0)) {
      this.commit(transaction)
    }
    for (const brokerId of brokerIds) {
      if (this.store.get(brokerKey(brokerId)) === undefined) {
        this.register(brokerId, false)
      }
    }
    for (let round = 0; round < 2000; round += 1) {
      this.life.watch(1000, this.now)
      if (this.life.unsettled.length > 0) {
        this.settle(0, 0)
      } else if (this.life.controller.isIdle && this.life.image.revision === this.store.revision) {
        return
      } else {
        this.now += 100
        this.life.controller.tick(this.now)
      }
    }
    throw new Error('it does not come to an end')
  }
}

function requestOf(world: World, kind: number, a: number, b: number): ControllerRequest {
  const names = Array.from({ length: world.topics }, (_, index) => `t${index}`)
  const topic = names[a % Math.max(1, names.length)] ?? 't0'
  const replicas = [0, 1, 2].map((each) => brokerIds[(b + each) % 4]!).slice(0, 1 + (a % 3))
  const partitions = [{ topic, partition: 0, replicas: kind === 4 ? null : replicas }]
  const requests: ControllerRequest[] = [
    {
      kind: 'create topic',
      name: `t${world.topics}`,
      topicId: `id${world.topics}`,
      partitions: { count: 1 + (a % 3), replicationFactor: 1 + (b % 3) },
    },
    { kind: 'delete topic', name: topic },
    { kind: 'create partitions', name: topic, count: 1 + (b % 5) },
    { kind: 'reassign', partitions },
    { kind: 'reassign', partitions },
    { kind: 'alter topic configs', name: topic, configs: { 'min.insync.replicas': `${1 + (b % 3)}` } },
    { kind: 'elect leaders', election: 'preferred', partitions: null },
    { kind: 'drain', brokerId: brokerIds[b % 4]! },
    { kind: 'unregister', brokerId: brokerIds[b % 4]! },
    { kind: 'elect leaders', election: 'unclean', partitions: null },
  ]
  return requests[kind]!
}

const step = fc.tuple(fc.nat(11), fc.nat(9), fc.nat(20), fc.nat(20))

function play(world: World, [action, kind, a, b]: readonly [number, number, number, number]): void {
  const brokerId = brokerIds[a % 4]!
  switch (action) {
    case 0:
      return world.store.revoke(`lease ${brokerId}`)
    case 1:
      return world.register(brokerId, b % 2 === 0)
    case 2:
      return world.register(brokerId, false, true)
    case 3:
      return world.expand(a)
    case 4:
    case 5: {
      const request = requestOf(world, kind, a, b)
      world.topics += request.kind === 'create topic' ? 1 : 0
      world.hasUnclean ||= request.kind === 'elect leaders' && request.election === 'unclean'
      world.life.controller.request(request, world.now)
      return world.life.watch(0, world.now)
    }
    case 6:
    case 7:
      return world.life.watch(1 + (a % 4), world.now)
    case 8:
      return world.settle(a, b % 4)
    case 9: {
      const [late] = world.lingering.splice(a % Math.max(1, world.lingering.length), 1)
      return late === undefined ? undefined : void world.commit(late)
    }
    case 10:
      world.now += 50 + a * 10
      world.life.controller.tick(world.now)
      return world.life.watch(0, world.now)
    default: {
      if (b > 5) {
        return world.settle(a, 0)
      }
      const old = world.life
      world.lives.push(new Life(world.store, 10 + world.lives.length, world.now))
      // The old one does not know, and what it puts is in vain.
      for (const { transaction } of old.unsettled.splice(0)) {
        expect(world.commit(transaction)).toBeNull()
      }
      return
    }
  }
}

test('whatever happens, the rules hold, and it comes to an end', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), (steps) => {
      const world = new World()
      for (const brokerId of brokerIds) {
        world.register(brokerId, false)
      }
      world.lives.push(new Life(world.store, 10, 0))
      world.quieten()
      for (const kind of [0, 0]) {
        world.life.controller.request(requestOf(world, kind, 2, 2), 0)
        world.topics += 1
      }
      world.quieten()
      for (const each of steps) {
        play(world, each)
      }
      world.quieten()
      const topics = new Map([...world.life.image.topics.values()].map((topic) => [topic.topicId, topic]))
      for (const state of world.states()) {
        expect(topics.get(state.topicId)!.partitions).toBeGreaterThan(state.partition)
        const canLead = [...state.isr, ...state.eligibleLeaderReplicas].some((each) => world.isLive(each))
        expect(state.leader !== noBroker || !canLead).toBe(true)
        expect(state.leader === noBroker || world.store.get(brokerKey(state.leader)) !== undefined).toBe(true)
      }
      for (const brokerId of brokerIds) {
        // Absent where it was taken away in the end.
        const registration = world.life.image.brokers.get(brokerId)
        expect(registration?.fenced === true && !registration.shuttingDown).toBe(false)
      }
    }),
    { numRuns: 300 },
  )
})
