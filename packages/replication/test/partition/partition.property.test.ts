// A partition of three replicas whose Fetches and answers are lost, doubled and late, with elections and restarts in between.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  brokerKey,
  PartitionReplica,
  type BrokerRegistration,
  type FetchedRecords,
  type FollowerFetch,
  type PartitionState,
} from '@varve/replication'
import { BatchLog, type Batch } from './batch-log.js'
import { asFetched, lagMs, registrationOf, stateOf, take } from './partition.js'

type Message =
  | { readonly kind: 'fetch'; readonly from: Node; readonly to: number; readonly fetch: FollowerFetch }
  | {
      readonly kind: 'answer'
      readonly replica: PartitionReplica
      readonly leaderEpoch: number
      readonly to: Node
      readonly fetchId: number
      readonly answer: FetchedRecords
      readonly batches: readonly Batch[]
    }

/** A broker with what it has seen of the store. */
class Node {
  readonly id: number
  brokerEpoch: number
  readonly log = new BatchLog()
  brokers = new Map<number, BrokerRegistration>()
  replica: PartitionReplica

  constructor(id: number, brokerEpoch: number) {
    this.id = id
    this.brokerEpoch = brokerEpoch
    this.replica = this.#replica()
  }

  #replica(): PartitionReplica {
    const { brokerEpoch } = this
    return new PartitionReplica({
      brokerId: this.id,
      brokerEpoch: () => brokerEpoch,
      log: this.log,
      brokers: (id) => this.brokers.get(id),
      replicaLagTimeMaxMs: lagMs,
    })
  }

  restart(brokerEpoch: number): void {
    this.brokerEpoch = brokerEpoch
    this.log.reopen()
    this.brokers = new Map()
    this.replica = this.#replica()
  }
}

class Partition {
  now = 0
  revision = 100
  state: PartitionState = stateOf({ leaderEpoch: 1, partitionEpoch: 100 })
  readonly brokers = new Map([1, 2, 3].map((id) => [id, registrationOf(id)]))
  readonly nodes = [1, 2, 3].map((id) => new Node(id, 10 + id))
  readonly messages: Message[] = []
  /** By base offset: what was below a high watermark once. */
  readonly committed = new Map<number, Batch>()

  constructor() {
    for (const node of this.nodes) this.tell(node)
  }

  /** The broker sees what the store holds now. */
  tell(node: Node): void {
    node.brokers = new Map(this.brokers)
    const { replica, log } = node
    if ((replica.stateChanged(this.state, this.now) ?? replica.reconsider(this.now)) === 'leader')
      log.setLeaderEpoch(replica.leader!.leaderEpoch)
  }

  produce({ log, replica: { leader } }: Node): void {
    if (leader === null || leader.admits(-1) !== null) return
    log.append(2)
    leader.logChanged()
  }

  fetch(node: Node): void {
    const { follower } = node.replica
    const fetch = follower?.fetch() ?? null
    if (fetch !== null) this.messages.push({ kind: 'fetch', from: node, to: follower!.leader, fetch })
  }

  /** A Fetch and its answer, both delivered at once. */
  fetchAndTake(node: Node): void {
    const before = this.messages.length
    this.fetch(node)
    for (let trip = 0; trip < 2 && this.messages.length > before; trip++) this.deliver(before, 'once')
  }

  deliver(index: number, fate: 'once' | 'twice' | 'lost'): void {
    const at = this.messages.length === 0 ? -1 : index % this.messages.length
    const message = this.messages[at]
    if (message === undefined) return
    if (fate !== 'twice') this.messages.splice(at, 1)
    if (fate === 'lost') this.#lose(message)
    else if (message.kind === 'fetch') this.#answer(message)
    else this.#take(message)
  }

  #lose(message: Message): void {
    if (message.kind === 'fetch') message.from.replica.follower?.lost(message.fetch.fetchId)
    else message.to.replica.follower?.lost(message.fetchId)
  }

  #answer({ from, to, fetch }: Extract<Message, { kind: 'fetch' }>): void {
    const { log, replica } = this.nodes[to - 1]!
    if (replica.leader === null) return from.replica.follower?.lost(fetch.fetchId)
    const answer = asFetched(replica.leader.fetch(fetch, this.now), replica.leader.leaderEpoch, log)
    const batches = log.read(fetch.fetchOffset, log.endOffset)
    const { currentLeaderEpoch: leaderEpoch, fetchId } = fetch
    this.messages.push({
      kind: 'answer',
      replica: from.replica,
      leaderEpoch,
      to: from,
      fetchId,
      answer,
      batches,
    })
  }

  /** An answer comes to the life, and to the leader epoch, that has sent the Fetch, or not at all: connections end with both. */
  #take(message: Extract<Message, { kind: 'answer' }>): void {
    const { to, fetchId, answer, batches } = message
    const { follower } = to.replica
    if (to.replica !== message.replica || follower?.leaderEpoch !== message.leaderEpoch) return
    take(follower.answered(fetchId, answer), follower, to.log, batches)
  }

  /** The controller elects one of the in-sync replicas. */
  elect(index: number): void {
    const { isr, leaderEpoch } = this.state
    const leader = isr[index % isr.length]!
    this.#put({ ...this.state, leader, leaderEpoch: leaderEpoch + 1 })
  }

  #put(state: PartitionState): void {
    this.state = { ...state, partitionEpoch: ++this.revision }
  }

  /** The process ends and comes back with what it had written, registers, and its leadership ends. */
  restart(node: Node, index: number): void {
    node.restart(++this.revision)
    const { revision } = this
    this.brokers.set(node.id, registrationOf(node.id, { brokerEpoch: revision, revision }))
    if (this.state.leader === node.id) this.elect(index)
  }

  change({ replica: { leader } }: Node, answered: boolean): void {
    const change = leader?.change(this.now) ?? null
    if (change === null) return
    const holds =
      change.partitionEpoch === this.state.partitionEpoch &&
      [...this.brokers.values()].every(({ brokerId, revision }) =>
        change.transaction.compares!.every(
          (compare) => compare.key !== brokerKey(brokerId) || compare.revision === revision,
        ),
      )
    if (holds) this.#put(change.state)
    const outcome = holds
      ? ({ kind: 'succeeded', revision: this.revision } as const)
      : ({ kind: 'failed' } as const)
    leader!.changeSettled(change, answered ? outcome : { kind: 'unknown' }, this.now)
  }

  check(): void {
    for (const { log, replica } of this.nodes) {
      for (const batch of log.batches) {
        if (batch.endOffset > replica.highWatermark) break
        // The very batch: another one at its place, of the same epoch even, was written by another leader.
        if ((this.committed.get(batch.baseOffset) ?? batch) !== batch)
          expect.fail(`other records at ${batch.baseOffset} than were committed`)
        this.committed.set(batch.baseOffset, batch)
      }
    }
    for (const id of this.state.isr) {
      const { log } = this.nodes[id - 1]!
      const lost = [...this.committed.values()].find((batch, index) => log.batches[index] !== batch)
      if (lost !== undefined)
        expect.fail(`broker ${id} is in sync without what was committed at ${lost.baseOffset}`)
    }
    for (const one of this.nodes) for (const other of this.nodes) expectPrefix(one.log, other.log)
  }
}

/** Where two logs have a batch of the same epoch at the same offset they agree up to there. */
function expectPrefix(one: BatchLog, other: BatchLog): void {
  const last = one.batches.findLastIndex(
    ({ leaderEpoch, baseOffset }, i) =>
      other.batches[i]?.leaderEpoch === leaderEpoch && other.batches[i].baseOffset === baseOffset,
  )
  const differs = one.batches.findIndex((batch, i) => i <= last && batch !== other.batches[i])
  if (differs !== -1) expect.fail(`logs that agree later differ at ${one.batches[differs]!.baseOffset}`)
}

const node = fc.nat(2)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('produce' as const), node }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('fetch' as const), node }) },
  { weight: 16, arbitrary: fc.record({ kind: fc.constant('fetch and take' as const), node }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('deliver' as const),
      index: fc.nat(20),
      fate: fc.constantFrom('once', 'once', 'once', 'twice', 'lost'),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('tell' as const), node }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('elect' as const), index: node }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), node, index: node }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('change' as const), node, answered: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat(lagMs) }) },
)

test('logs agree, and what was below a high watermark stays', () => {
  let commits = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 150, size: 'max' }), (steps) => {
      const partition = new Partition()
      for (const each of steps) {
        if (each.kind === 'produce') partition.produce(partition.nodes[each.node]!)
        else if (each.kind === 'fetch') partition.fetch(partition.nodes[each.node]!)
        else if (each.kind === 'fetch and take') partition.fetchAndTake(partition.nodes[each.node]!)
        else if (each.kind === 'deliver') partition.deliver(each.index, each.fate)
        else if (each.kind === 'tell') partition.tell(partition.nodes[each.node]!)
        else if (each.kind === 'elect') partition.elect(each.index)
        else if (each.kind === 'restart') partition.restart(partition.nodes[each.node]!, each.index)
        else if (each.kind === 'change') partition.change(partition.nodes[each.node]!, each.answered)
        else partition.now += each.ms
        partition.check()
      }
      commits += partition.committed.size
    }),
    { numRuns: 1000 },
  )
  expect(commits).toBeGreaterThan(300)
})
