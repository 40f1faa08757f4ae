// Two brokers coordinate groups over one log, one at a time: an offset that was committed with one is not to be behind with
// the other, and a member that lives is to stay one. Elections come here at any time, be it while something is stored,
// read, or waited for; some are heard of late; some take along what was not committed. What must always hold is looked at
// after each step.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { VarveError } from '@varve/records'
import type { JoinResponse } from '../../src/groups/group-member.js'
import { decodeRecord } from '../../src/groups/group-records.js'
import { isLongRun, seed } from '../../../../test/support/long-run.js'
import { settled } from '../support/group-shard-harness.js'
import { type ClusterMember, holdReading, OffsetsCluster, storedRecords } from '../support/offsets-cluster.js'

const RUNS = isLongRun ? 5_000 : 100
const GROUP = 'g'
const CLIENTS = 3
const heartbeatMs = 3_000

type Command =
  | {
      readonly kind: 'elect'
      readonly who: 0 | 1 | null
      /** How many batches that are not committed the new leader has. */
      readonly kept: number
      /** The one before it is not told. */
      readonly unheard: boolean
    }
  | { readonly kind: 'client' | 'crash' | 'leave' | 'commit'; readonly client: number }
  | {
      readonly kind:
        | 'hold'
        | 'release'
        | 'fail'
        | 'too-few'
        | 'hear'
        | 'hold-reading'
        | 'release-reading'
        | 'tick'
    }

const ofClient = <K extends string>(kind: K) =>
  fc.record({ kind: fc.constant(kind), client: fc.nat(CLIENTS - 1) })
const alone = <K extends string>(kind: K) => fc.record({ kind: fc.constant(kind) })

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('elect' as const),
      who: fc.constantFrom(0 as const, 1 as const, 0 as const, 1 as const, null),
      kept: fc.nat(3),
      unheard: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: ofClient('client') },
  { weight: 12, arbitrary: ofClient('commit') },
  { weight: 1, arbitrary: ofClient('crash') },
  { weight: 1, arbitrary: ofClient('leave') },
  { weight: 10, arbitrary: alone('tick') },
  { weight: 3, arbitrary: alone('hold') },
  { weight: 4, arbitrary: alone('release') },
  { weight: 1, arbitrary: alone('fail') },
  { weight: 2, arbitrary: alone('too-few') },
  { weight: 2, arbitrary: alone('hear') },
  { weight: 2, arbitrary: alone('hold-reading') },
  { weight: 3, arbitrary: alone('release-reading') },
)

/** A consumer that asks whoever leads, and shows a sign of life with every tick. */
interface Client {
  memberId: string
  generationId: number
  joined: JoinResponse | null
  /** Who has not answered its request yet; null while nobody need. */
  asked: ClusterMember | null
  /** It was told an assignment, so the log has it, and it has not gone since. */
  isEstablished: boolean
}

class World {
  readonly cluster = new OffsetsCluster()
  readonly clients: Client[] = Array.from({ length: CLIENTS }, newClient)
  /** Requests that were not answered, by who was asked. */
  readonly unanswered = new Map<ClusterMember, number>()
  /** The highest offset of which a client was told that it is committed. */
  acknowledged = 0
  /** The highest one that was ever read. */
  read = 0
  /** The last one that a client tried to commit. */
  tried = 0
  /** What was assigned to a member, by its generation and id. */
  readonly assigned = new Map<string, string>()
  highestGeneration = 0
  readonly #releases: (() => void)[] = []
  #broken: unknown = null

  get log() {
    return this.cluster.logs[0]!
  }

  get leader(): ClusterMember | undefined {
    return this.cluster.members[this.cluster.leaderOf()]
  }

  async run(each: Command): Promise<void> {
    const { log, cluster } = this
    switch (each.kind) {
      case 'elect':
        this.#elect(each.who, each.kept, each.unheard)
        break
      case 'hear':
        cluster.tell()
        break
      case 'client':
        this.#step(this.clients[each.client]!)
        break
      case 'commit':
        this.#commit(this.clients[each.client]!)
        break
      case 'crash':
        this.#replace(each.client)
        break
      case 'leave': {
        const { memberId } = this.#replace(each.client)
        if (this.leader !== undefined)
          this.#ask(this.leader, this.leader.leave(GROUP, { memberId }), () => {})
        break
      }
      case 'tick':
        for (const client of this.clients) {
          // Who waits for one that does not know that it leads no more gives the next one no sign of life.
          if (client.asked !== null && client.asked !== this.leader) client.isEstablished = false
          this.#step(client)
        }
        await settled()
        if (!log.held) log.commit()
        cluster.clock.advance(heartbeatMs)
        break
      case 'hold':
        log.held = true
        break
      case 'release':
        log.held = false
        log.commit()
        break
      case 'too-few':
        log.commitWithTooFew()
        break
      case 'fail':
        log.failNext = new VarveError('VARVE_NOT_ENOUGH_REPLICAS', 'too few are in sync')
        break
      case 'hold-reading':
        for (const member of cluster.members) this.#releases.push(holdReading(member))
        break
      case 'release-reading':
        for (const release of this.#releases.splice(0)) release()
        for (const { partitions } of cluster.members) partitions[0]!.readable = Promise.resolve()
        break
    }
    await settled()
    if (this.#broken !== null) throw this.#broken
  }

  /** Another client takes the place of one that is gone. */
  #replace(index: number): Client {
    const gone = this.clients[index]!
    gone.isEstablished = false
    this.clients[index] = newClient()
    return gone
  }

  #elect(who: 0 | 1 | null, kept: number, unheard: boolean): void {
    const { log, cluster } = this
    const uncommitted = log.batches.filter(({ nextOffset }) => nextOffset > log.highWatermark)
    const keepOffset = uncommitted[kept - 1]?.nextOffset ?? (kept > 0 ? Infinity : 0)
    const elected = who === null ? null : cluster.members[who]
    log.elect(elected?.partitions[0] ?? null, keepOffset)
    cluster.tell(unheard ? (elected === null ? [] : [elected]) : undefined)
  }

  /** Looks at an answer when it comes. */
  #ask<R>(asked: ClusterMember, response: Promise<R>, look: (response: R) => void): void {
    this.unanswered.set(asked, (this.unanswered.get(asked) ?? 0) + 1)
    response
      .then(look)
      .catch((error: unknown) => {
        this.#broken ??= error
      })
      .finally(() => this.unanswered.set(asked, this.unanswered.get(asked)! - 1))
  }

  /** What a client does next: it joins, asks for its assignment, or shows that it is there. */
  #step(client: Client): void {
    const { leader } = this
    if (leader === undefined || client.asked !== null) return
    client.asked = leader
    const { joined } = client
    const heard =
      <R>(look: (response: R) => void) =>
      (response: R) => {
        client.asked = null
        look(response)
      }
    if (client.generationId < 0) {
      this.#ask(
        leader,
        leader.joinOnce(GROUP, { memberId: client.memberId }),
        heard((r) => this.#joined(client, r)),
      )
    } else if (joined !== null) {
      this.#ask(
        leader,
        leader.sync(GROUP, joined),
        heard(({ error, assignment }) => {
          client.joined = null
          if (error.name === 'NONE') this.#synced(client, joined, String(assignment))
          else this.#refused(client, error.name)
        }),
      )
    } else {
      this.#ask(
        leader,
        leader.heartbeat(GROUP, client),
        heard((name) => this.#refused(client, name)),
      )
    }
  }

  #joined(client: Client, response: JoinResponse): void {
    const { error, memberId, generationId } = response
    if (error.name === 'MEMBER_ID_REQUIRED') client.memberId = memberId
    else if (error.name === 'NONE') Object.assign(client, { memberId, generationId, joined: response })
    else this.#refused(client, error.name)
  }

  #synced(client: Client, { memberId, generationId }: JoinResponse, assignment: string): void {
    client.isEstablished = true
    expect(assignment, 'everybody has an assignment of its own').toBe(memberId)
    expect(generationId, 'what members were told does not go back').toBeGreaterThanOrEqual(
      this.highestGeneration,
    )
    this.highestGeneration = generationId
  }

  #refused(client: Client, name: string): void {
    if (name === 'NONE') return
    if (name === 'UNKNOWN_MEMBER_ID') {
      expect(client.isEstablished, 'who is in the log and alive stays a member').toBe(false)
      client.memberId = ''
    }
    const joinsAgain = ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS']
    if (joinsAgain.includes(name) || client.joined !== null) client.generationId = -1
  }

  #commit(client: Client): void {
    const { leader } = this
    const { memberId, generationId } = client
    if (leader === undefined || generationId < 0) return
    const offset = ++this.tried
    this.#ask(leader, leader.commit(GROUP, offset, { memberId, generationId }), (name) => {
      if (name === 'NONE') this.acknowledged = Math.max(this.acknowledged, offset)
    })
  }

  async check(): Promise<void> {
    for (const member of this.cluster.members) {
      if (member === this.leader || !this.cluster.hasHeard(member)) continue
      expect([...member.coordinator.loaded()], 'who does not lead has no groups').toEqual([])
      expect(this.unanswered.get(member) ?? 0, 'who does not lead keeps nobody waiting').toBe(0)
    }
    const { leader, log } = this
    if (leader === undefined || !this.cluster.hasHeard(leader)) return
    const offset = await leader.offset(GROUP)
    if (typeof offset === 'string') return
    expect(offset ?? 0, 'what was committed does not go back').toBeGreaterThanOrEqual(this.acknowledged)
    expect(offset ?? 0, 'nor does what was read').toBeGreaterThanOrEqual(this.read)
    expect(offset ?? 0).toBeLessThanOrEqual(this.tried)
    this.read = offset ?? 0
    const group = [...leader.coordinator.loaded()].find(({ groupId }) => groupId === GROUP)
    expect(group?.generationId ?? 0, 'nor does a generation').toBeGreaterThanOrEqual(this.highestGeneration)
    if (log.highWatermark < log.endOffset) return
    // What the leader holds to be stored is what the next one would read.
    let stored: number | null = null
    let members: string[] = []
    for (const { key, value } of storedRecords(log)) {
      const record = decodeRecord(key!, value)!
      if (record.kind === 'offset') stored = record.committed!.offset
      else members = record.value!.members!.map(({ memberId }) => memberId!)
    }
    expect(offset).toBe(stored)
    if (group?.state === 'Stable') expect([...group.members.keys()].sort()).toEqual(members.sort())
  }

  /** Once elections end, everybody has an assignment, and commits. */
  async comeToRest(): Promise<void> {
    await this.run({ kind: 'release' })
    await this.run({ kind: 'release-reading' })
    this.log.failNext = null
    await this.run({ kind: 'elect', who: 1, kept: 3, unheard: false })
    for (let round = 0; round < 30; round++) {
      await this.run({ kind: 'tick' })
      await this.check()
    }
    const group = [...this.leader!.coordinator.loaded()][0]!
    expect(group.state).toBe('Stable')
    expect([...group.members.keys()].sort()).toEqual(this.clients.map(({ memberId }) => memberId).sort())
    await this.run({ kind: 'commit', client: 0 })
    expect(await this.leader!.offset(GROUP)).toBe(this.tried)
  }
}

function newClient(): Client {
  return { memberId: '', generationId: -1, joined: null, asked: null, isEstablished: false }
}

test(
  'whoever leads, and whenever that changes, offsets do not go back and members that live stay members',
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 100, size: 'max' }), async (commands) => {
        const world = new World()
        await world.comeToRest()
        for (const each of commands) {
          await world.run(each)
          await world.check()
        }
        await world.comeToRest()
        world.cluster.close()
      }),
      { numRuns: RUNS, seed },
    )
  },
)
