// Rules that hold one by one may not hold together: a member that leaves while the leader's assignment is being stored, a
// commit between a rebalance and its end, a disk that fails in the middle. So commands come here in any order, from clients
// that follow the protocol and from some that do not, and after each of them what must always hold is looked at.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Group } from '../../src/groups/group.js'
import type { JoinResponse } from '../../src/groups/group-member.js'
import { isLongRun, seed } from '../../../../test/support/long-run.js'
import { GroupShardHarness, protocol, settled } from '../support/group-shard-harness.js'

const RUNS = isLongRun ? 5_000 : 40
const GROUP = 'g'
const CLIENTS = 4

/** A consumer as clients implement it: it joins when it is told to, and believes what it was last told. */
interface Client {
  readonly instanceId: string | null
  memberId: string
  generationId: number
  joined: JoinResponse | null
  joining: boolean
  /** What it may read, by the generation in which it was told. */
  assignment: { generationId: number; partitions: string } | null
}

type Command =
  | { readonly kind: 'join' | 'sync' | 'heartbeat' | 'leave' | 'crash' | 'forget'; readonly client: number }
  | { readonly kind: 'commit'; readonly client: number; readonly offset: number }
  | { readonly kind: 'commit-simple' | 'delete-offset'; readonly offset: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'delete-group' | 'expire' | 'hold' | 'release' | 'fail' | 'restart' }

const ofClient = <K extends string>(kind: K) =>
  fc.record({ kind: fc.constant(kind), client: fc.nat(CLIENTS - 1) })

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: ofClient('join') },
  { weight: 8, arbitrary: ofClient('sync') },
  { weight: 4, arbitrary: ofClient('heartbeat') },
  { weight: 2, arbitrary: ofClient('leave') },
  { weight: 1, arbitrary: ofClient('crash') },
  { weight: 1, arbitrary: ofClient('forget') },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('commit' as const),
      client: fc.nat(CLIENTS - 1),
      offset: fc.nat(1000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('commit-simple' as const, 'delete-offset' as const),
      offset: fc.nat(1000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      ms: fc.constantFrom(100, 3_000, 9_999, 30_000, 3_600_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'delete-group' as const,
        'expire' as const,
        'hold' as const,
        'release' as const,
        'release' as const,
        'fail' as const,
        'restart' as const,
      ),
    }),
  },
)

/** The world of one run: a shard, the clients of a group, and what was promised to them. */
class World {
  harness: GroupShardHarness
  readonly clients: Client[]
  readonly options: { initialRebalanceDelayMs: number; offsetsRetentionMinutes: number }
  /** The assignments that members were told, by generation. */
  readonly told = new Map<number, Map<string, string>>()
  readonly leaders = new Map<number, string>()
  highestGeneration = 0
  #group: Group | undefined
  /** What did not hold when a response came, outside of the command that was run then. */
  #broken: unknown = null

  constructor(initialRebalanceDelayMs: number) {
    this.options = { initialRebalanceDelayMs, offsetsRetentionMinutes: 30 }
    this.harness = new GroupShardHarness(this.options)
    this.clients = Array.from({ length: CLIENTS }, (_, index) =>
      newClient(index % 2 === 0 ? null : `i${index}`),
    )
  }

  async run(each: Command): Promise<void> {
    const { harness } = this
    switch (each.kind) {
      case 'join':
        this.#join(this.clients[each.client]!)
        break
      case 'sync':
        this.#sync(this.clients[each.client]!)
        break
      case 'heartbeat':
        this.#heartbeat(this.clients[each.client]!)
        break
      case 'leave': {
        const { memberId, instanceId } = this.clients[each.client]!
        // It may take too long to be stored.
        harness.leave(GROUP, { memberId, groupInstanceId: instanceId }).catch(() => {})
        break
      }
      case 'crash':
        this.clients[each.client] = newClient(this.clients[each.client]!.instanceId)
        break
      case 'forget':
        Object.assign(this.clients[each.client]!, { memberId: '', joined: null })
        break
      case 'commit': {
        const { memberId, generationId } = this.clients[each.client]!
        if (memberId === '' || generationId < 0) break
        void harness.commitOffsets(GROUP, { 0: each.offset }, { memberId, generationId })
        break
      }
      case 'commit-simple':
        void harness.commitOffsets(GROUP, { 1: each.offset })
        break
      case 'delete-offset':
        void harness.shard.deleteOffsets(GROUP, [{ topic: 't', partition: each.offset % 2 }])
        break
      case 'advance':
        harness.clock.advance(each.ms)
        break
      case 'delete-group':
        void harness.shard.deleteGroup(GROUP)
        break
      case 'expire':
        void harness.shard.expire()
        break
      case 'hold':
        harness.held = true
        break
      case 'release':
        harness.held = false
        while (harness.pendingAppends > 0) harness.commit()
        break
      case 'fail':
        if (harness.pendingAppends > 0) harness.fail()
        else harness.failNext = new Error('the disk said no')
        break
      case 'restart':
        this.#restart()
        break
    }
    await settled()
    if (this.#broken !== null) throw this.#broken
  }

  /** Looks at a response when it comes, unless the broker that sent it was killed. */
  #receive<R>(response: Promise<R>, look: (response: R) => void): void {
    const { harness } = this
    response.then(
      (received) => {
        if (harness !== this.harness) return
        try {
          look(received)
        } catch (error) {
          this.#broken ??= error
        }
      },
      // A shard that was closed tells nothing.
      () => {},
    )
  }

  /** The broker is killed: what was not answered never is. */
  #restart(): void {
    const before = this.harness
    before.failNext = null
    this.harness = before.restart(this.options)
    before.held = true
    before.shard.close()
    for (const client of this.clients) client.joining = false
    // A generation that no log knows of may be begun anew, by others.
    this.#group = this.harness.shard.get(GROUP)
    this.#forgetAfter(this.#group?.generationId ?? 0)
  }

  #forgetAfter(generation: number): void {
    this.highestGeneration = generation
    for (const known of this.leaders.keys()) if (known > generation) this.leaders.delete(known)
    for (const known of this.told.keys()) if (known > generation) this.told.delete(known)
  }

  #join(client: Client): void {
    if (client.joining) return
    client.joining = true
    const names = client.instanceId === null ? ['range', 'sticky'] : ['sticky', 'range']
    const request = {
      memberId: client.memberId,
      groupInstanceId: client.instanceId,
      protocols: names.map((name) => protocol(name)),
    }
    this.#receive(this.harness.joinOnce(GROUP, request), (response) => {
      client.joining = false
      const { memberId, generationId, error } = response
      if (error.name === 'MEMBER_ID_REQUIRED') client.memberId = memberId
      else if (error.name === 'UNKNOWN_MEMBER_ID' || error.name === 'FENCED_INSTANCE_ID') client.memberId = ''
      if (error.name !== 'NONE') return
      Object.assign(client, { memberId, generationId, joined: response })
      this.#checkJoined(response)
    })
  }

  #checkJoined({ generationId, leader, members, memberId, skipAssignment }: JoinResponse): void {
    const group = this.harness.shard.get(GROUP)
    if (group !== this.#group) {
      // It was deleted, and this is another of the same name, which begins with generation 1.
      this.#group = group
      this.#forgetAfter(0)
    }
    expect(generationId).toBeGreaterThanOrEqual(this.highestGeneration)
    this.highestGeneration = generationId
    if (members.length === 0) return
    // Who is sent the members is the leader, and of one generation there is one: a static successor takes its place over.
    expect(leader).toBe(memberId)
    expect(members.map((member) => member.memberId)).toContain(memberId)
    const known = this.leaders.get(generationId)
    if (known !== undefined && !skipAssignment) expect(memberId).toBe(known)
    this.leaders.set(generationId, memberId)
  }

  #sync(client: Client): void {
    const { joined, instanceId } = client
    if (joined === null) return
    const assignments = Object.fromEntries(
      joined.skipAssignment ? [] : joined.members.map(({ memberId }) => [memberId, `only ${memberId}`]),
    )
    this.#receive(this.harness.sync(GROUP, joined, assignments, instanceId), ({ error, assignment }) => {
      if (error.name !== 'NONE') return
      const partitions = String(assignment)
      client.assignment = { generationId: joined.generationId, partitions }
      this.#checkAssigned(joined, partitions)
    })
  }

  #checkAssigned({ generationId, memberId }: JoinResponse, partitions: string): void {
    expect(partitions, 'every member of a generation gets an assignment').not.toBe('')
    let told = this.told.get(generationId)
    if (told === undefined) this.told.set(generationId, (told = new Map()))
    // The assignment belongs to the member it was made for, or to the static member that took its place.
    const others = [...told].filter(([other, what]) => other !== memberId && what === partitions)
    for (const [other] of others) {
      expect(this.harness.shard.get(GROUP)?.members.has(other), `${partitions} is read by two`).not.toBe(true)
    }
    const before = told.get(memberId)
    if (before !== undefined) expect(partitions).toBe(before)
    told.set(memberId, partitions)
  }

  #heartbeat(client: Client): void {
    if (client.memberId === '') return
    this.#receive(this.harness.heartbeat(GROUP, client, client.instanceId), ({ name }) => {
      if (name === 'UNKNOWN_MEMBER_ID') client.memberId = ''
    })
  }

  check(): void {
    const { harness } = this
    const group = harness.shard.get(GROUP)
    const replayed = harness.restart(this.options).shard.get(GROUP)
    // What has been committed is what a restart would find, to the last offset.
    const offsets = [...(group?.offsets.entries() ?? [])]
    expect([...(replayed?.offsets.entries() ?? [])].sort()).toEqual(offsets.sort())
    if (group === undefined) {
      expect(replayed, 'a group that is gone does not come back').toBeUndefined()
      return
    }
    expect(replayed?.generationId ?? 0).toBeLessThanOrEqual(group.generationId)
    if (group.state === 'Stable') {
      const members = (of: typeof group) =>
        [...of.members.values()]
          .map(({ memberId, groupInstanceId, assignment }) => [memberId, groupInstanceId, String(assignment)])
          .sort()
      // Members may have left since; then the group would not be stable any more.
      expect(replayed).toMatchObject({
        state: 'Stable',
        generationId: group.generationId,
        protocolType: group.protocolType,
        protocolName: group.protocolName,
        leaderId: group.leaderId,
      })
      expect(members(replayed!)).toEqual(members(group))
    }
    for (const { joining, syncing } of group.members.values()) {
      expect(joining === null || group.state === 'PreparingRebalance').toBe(true)
      expect(syncing === null || group.state === 'CompletingRebalance').toBe(true)
    }
    if (group.state === 'Empty') expect(group.members.size).toBe(0)
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') {
      expect(group.members.has(group.leaderId!), 'there is one leader, and it is a member').toBe(true)
    }
  }

  /** Whatever happened, clients that go on as clients do come to rest, with a partition for each. */
  async comeToRest(): Promise<void> {
    this.harness.failNext = null
    await this.run({ kind: 'release' })
    for (let round = 0; round < 60; round++) {
      for (let client = 0; client < CLIENTS; client++) {
        const one = this.clients[client]!
        const group = this.harness.shard.get(GROUP)
        const isIn = group?.memberError(one.memberId, one.instanceId) === null
        if (one.joining) continue
        const isCurrent =
          isIn && one.generationId === group.generationId && group.state !== 'PreparingRebalance'
        if (!isIn) one.memberId = group?.pendingJoins.has(one.memberId) === true ? one.memberId : ''
        await this.run({ kind: isCurrent ? 'sync' : 'join', client })
        this.check()
      }
      await this.run({ kind: 'advance', ms: 500 })
    }
    const group = this.harness.shard.get(GROUP)!
    expect(group.state).toBe('Stable')
    expect(group.members.size).toBe(CLIENTS)
    const assigned = this.clients.map(({ assignment }) => assignment)
    expect(assigned.map((one) => one?.generationId)).toEqual(Array(CLIENTS).fill(group.generationId))
    expect(new Set(assigned.map((one) => one?.partitions)).size).toBe(CLIENTS)
  }
}

function newClient(instanceId: string | null): Client {
  return { instanceId, memberId: '', generationId: -1, joined: null, joining: false, assignment: null }
}

test(
  'whatever clients, disks and clocks do, what must hold holds, and the group comes to rest',
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 3_000),
        fc.array(command, { minLength: 1, maxLength: 80, size: 'max' }),
        async (initialRebalanceDelayMs, commands) => {
          const world = new World(initialRebalanceDelayMs)
          for (const each of commands) {
            await world.run(each)
            world.check()
          }
          await world.comeToRest()
          world.harness.shard.close()
        },
      ),
      { numRuns: RUNS, seed },
    )
  },
)
