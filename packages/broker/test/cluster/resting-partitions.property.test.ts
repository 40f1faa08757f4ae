// What a leader does not look at it must not need to look at. Two leaders live through the same: of one the follower fetches in a
// session, in which partitions rest; the other is asked for everything with each Fetch, and looks at all of it. The follower
// must hear the same from both, and both must think the same of it.
import { errors, fetch, type FetchRequest, type FetchRequestInput } from '@varve/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FetchRound, FetchSessions } from '../../src/fetch-sessions.js'
import { readTargets, type TargetRead } from '../../src/fetch-targets.js'
import { systemClock } from '../../src/clock.js'
import type { Partition } from '../../src/partition.js'
import type { Topics } from '../../src/topics.js'
import type { MemoryLog } from '../memory-log.js'
import { batchOf, settle } from '../support/test-broker.js'
import { replicaOn, stateOf, TestMembership } from './support/replica.js'

const count = 4
const topicId = stateOf().topicId
const apiVersion = 18
const everything = 1 << 20

type Change =
  | { readonly kind: 'append' | 'lead elsewhere' | 'lead again' | 'delete'; readonly at: number }
  | { readonly kind: 'delete before'; readonly at: number; readonly offset: number }
  | { readonly kind: 'replicas'; readonly at: number; readonly has: boolean }
  | { readonly kind: 'check'; readonly at: number }
  | { readonly kind: 'register' }

type Step =
  | Change
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'forget'; readonly at: number }
  | { readonly kind: 'add'; readonly at: number }
  | { readonly kind: 'go back'; readonly at: number }
  | { readonly kind: 'new life' }
  | {
      readonly kind: 'fetch'
      /** Whether the follower takes what it is told. */
      readonly takes: boolean
      readonly maxBytes: number
      /** What happens while the Fetch waits, and while it is answered. */
      readonly waiting: readonly Change[]
      readonly answering: readonly Change[]
    }

const at = fc.nat({ max: count - 1 })
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), at }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('check' as const), at }) },
  fc.record({ kind: fc.constantFrom('lead elsewhere' as const, 'lead again' as const), at }),
  fc.record({ kind: fc.constant('delete' as const), at: fc.constant(count - 1) }),
  fc.record({ kind: fc.constant('delete before' as const), at, offset: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('replicas' as const), at, has: fc.boolean() }),
  fc.constant({ kind: 'register' as const }),
)
const few = fc.array(change, { maxLength: 2 })
const quiet = fc.record({
  kind: fc.constant('fetch' as const),
  takes: fc.constant(true),
  maxBytes: fc.constant(everything),
  waiting: fc.constant([]),
  answering: fc.constant([]),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: change },
  { weight: 8, arbitrary: quiet },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fetch' as const),
      takes: fc.boolean(),
      maxBytes: fc.constantFrom(1, everything),
      waiting: few,
      answering: few,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(1, 500, 20_000, 31_000) }),
  },
  fc.record({ kind: fc.constantFrom('forget' as const, 'add' as const, 'go back' as const), at }),
  fc.constant({ kind: 'new life' as const }),
)

/** Broker 1, which leads. */
class Leader {
  readonly membership = new TestMembership(1)
  readonly sessions = new FetchSessions({
    maxSessions: 10,
    clock: { ...systemClock, now: this.membership.now },
  })
  readonly partitions: { readonly partition: Partition; readonly log: MemoryLog }[] = []
  readonly #topics = {
    get: () => undefined,
    getById: (id: string) => (id === topicId ? this.#topic : undefined),
  } as unknown as Topics
  readonly #topic = { name: 'orders', partitions: [] as Partition[], settings: { log: {} } }
  #revision = 100

  async open(): Promise<this> {
    for (let partition = 0; partition < count; partition++)
      this.partitions.push(
        await replicaOn(this.membership, stateOf({ partition, replicas: [1, 2], isr: [1, 2] })),
      )
    this.#topic.partitions = this.partitions.map((each) => each.partition)
    return this
  }

  begin(body: FetchRequestInput): FetchRound {
    const bytes = Buffer.concat(fetch.request.encode(body, apiVersion) as Buffer[])
    const request: FetchRequest = fetch.request.decode(bytes, 0, apiVersion)
    const { replicaId: id, replicaEpoch: epoch } = request.replicaState
    const reader = {
      apiVersion,
      isolation: 'readUncommitted',
      replica: { id, epoch },
      rack: null,
      quota: null,
    } as const
    const round = this.sessions.begin(request, reader, this.#topics)
    if ('code' in round) throw new Error(round.name)
    return round
  }

  async happens(change: Change): Promise<void> {
    if (change.kind === 'register') {
      const registration = this.membership.registrations.get(2)!
      const brokerEpoch = registration.brokerEpoch + 1
      this.membership.registrations.set(2, { ...registration, brokerEpoch })
      return
    }
    const { partition, log } = this.partitions[change.at]!
    const { state } = partition
    const partitionEpoch = ++this.#revision
    switch (change.kind) {
      case 'append': {
        await partition.append(batchOf('a'), false).catch(() => {})
        break
      }
      case 'lead elsewhere': {
        if (state.leader !== 1) break
        const isr = state.isr.length > 1 ? state.isr : [...state.isr, 3]
        partition.stateChanged({
          ...state,
          isr,
          leader: 3,
          leaderEpoch: state.leaderEpoch + 1,
          partitionEpoch,
        })
        break
      }
      case 'lead again': {
        partition.stateChanged({ ...state, leader: 1, leaderEpoch: state.leaderEpoch + 1, partitionEpoch })
        break
      }
      case 'delete': {
        this.#topic.partitions = this.#topic.partitions.filter((each) => each !== partition)
        partition.markDeleted()
        break
      }
      case 'delete before': {
        await log.deleteBefore(Math.min(change.offset, partition.highWatermark))
        break
      }
      case 'replicas': {
        const others = change.has ? [2] : []
        partition.stateChanged({
          ...state,
          replicas: [1, ...others, 3],
          isr: state.isr.filter((id) => id !== 2 || change.has),
          partitionEpoch,
        })
        break
      }
      case 'check': {
        const { leader } = partition
        const due = partition.inSyncChange()
        if (due !== null)
          partition.inSyncChangeSettled(leader!, due, { kind: 'succeeded', revision: partitionEpoch })
        break
      }
    }
    await settle(2)
  }

  /** What it thinks of its follower, and what that comes to. */
  get opinion(): unknown[] {
    return this.partitions.map(({ partition }) => {
      const { leader, highWatermark, state } = partition
      return [highWatermark, state.isr, leader?.isInSync(2), leader?.follower(2)?.lastCaughtUpTime]
    })
  }
}

/** What a follower has of a partition. */
interface Followed {
  fetchOffset: number
  highWatermark: number
  logStartOffset: number
  leaderEpoch: number
  isToBeAsked: boolean
  /** What it was told last. */
  told: ReturnType<typeof toldBy> | null
}

const toldBy = ({ error, divergingEpoch, records, highWatermark, logStartOffset }: TargetRead) => ({
  error: error?.name ?? null,
  divergingEpoch,
  bytes: records.byteLength,
  highWatermark,
  logStartOffset,
})

test('a follower hears of everything, and keeps its place, although most of it is not looked at', async () => {
  let rested = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const resting = await new Leader().open()
      const looking = await new Leader().open()
      const both = [resting, looking]
      const followed = new Map<number, Followed>()
      const forgotten: number[] = []
      let session = { sessionId: 0, sessionEpoch: 0 }
      let replicaEpoch = 10
      const add = (index: number): void => {
        if (followed.has(index)) return
        const nothing = { fetchOffset: 0, highWatermark: 0, logStartOffset: 0, leaderEpoch: 5, told: null }
        followed.set(index, { ...nothing, isToBeAsked: true })
      }
      const begin = (): void => {
        session = { sessionId: 0, sessionEpoch: 0 }
        forgotten.length = 0
        for (const each of followed.values()) Object.assign(each, { isToBeAsked: true, told: null })
      }
      const body = (indexes: readonly number[], more: object): FetchRequestInput => ({
        replicaState: { replicaId: 2, replicaEpoch },
        maxWaitMs: 0,
        minBytes: 1,
        maxBytes: everything,
        topics: [
          {
            topicId,
            partitions: indexes.map((partition) => {
              const { leaderEpoch: currentLeaderEpoch, ...offsets } = followed.get(partition)!
              const { fetchOffset, highWatermark, logStartOffset } = offsets
              return {
                partition,
                currentLeaderEpoch,
                fetchOffset,
                highWatermark,
                logStartOffset,
                partitionMaxBytes: everything,
              }
            }),
          },
        ],
        forgottenTopicsData: [],
        ...more,
      })
      const change = async (changes: readonly Change[]): Promise<void> => {
        for (const each of changes) for (const leader of both) await leader.happens(each)
      }
      const read = async (round: FetchRound, maxBytes: number): Promise<TargetRead[]> => {
        const reads = await readTargets(round.targets, maxBytes, null)
        for (const { records } of reads) records.close()
        return reads
      }
      const fetches = async ({
        takes,
        maxBytes,
        waiting,
        answering,
      }: Step & { kind: 'fetch' }): Promise<void> => {
        if (followed.size === 0) add(0)
        const indexes = [...followed.keys()]
        const asked = indexes.filter((index) => followed.get(index)!.isToBeAsked)
        const forgets = forgotten.splice(0).filter((index) => !followed.has(index))
        const forgottenTopicsData = session.sessionId === 0 ? [] : [{ topicId, partitions: forgets }]
        const round = resting.begin(body(asked, { ...session, forgottenTopicsData }))
        const full = looking.begin(body(indexes, { sessionId: 0, sessionEpoch: -1 }))
        const told = new Set<number>()
        let reads = await read(round, maxBytes)
        let truth = await read(full, everything)
        if (waiting.length > 0) {
          await change(waiting)
          round.takeChanged()
          reads = await read(round, maxBytes)
          truth = await read(full, everything)
        }
        await change(answering)
        const conclusion = round.conclude(reads)
        expect(conclusion.errorCode).toBe(0)
        session = { sessionId: conclusion.sessionId, sessionEpoch: session.sessionEpoch + 1 }
        rested += followed.size - round.targets.length
        for (const index of asked) followed.get(index)!.isToBeAsked = false
        for (const [place, target] of round.targets.entries()) {
          if (!conclusion.isSent(place)) continue
          const { partition } = target.asked
          told.add(partition)
          const each = followed.get(partition)!
          each.told = toldBy(reads[place]!)
          each.isToBeAsked = true
          if (!takes) continue
          const { error, records, highWatermark, logStartOffset } = reads[place]!
          if (error === errors.FENCED_LEADER_EPOCH || error === errors.UNKNOWN_LEADER_EPOCH)
            each.leaderEpoch = looking.partitions[partition]!.partition.leaderEpoch
          if (error === errors.OFFSET_OUT_OF_RANGE) each.fetchOffset = logStartOffset
          if (error !== null) continue
          each.fetchOffset = records.slices.at(-1)?.nextOffset ?? each.fetchOffset
          each.highWatermark = Math.min(highWatermark, each.fetchOffset)
          each.logStartOffset = logStartOffset
        }
        if (maxBytes < everything) {
          const hasRecords = truth.some(({ records }) => records.byteLength > 0)
          const gotRecords = reads.some(({ records }) => records.byteLength > 0)
          if (waiting.length === 0) expect(gotRecords).toBe(hasRecords)
        } else if (waiting.length === 0 && answering.length === 0) {
          for (const [place, { asked }] of full.targets.entries()) {
            const { partition } = asked
            const { error, divergingEpoch, bytes, ...offsets } = toldBy(truth[place]!)
            expect(followed.get(partition)!.told).toMatchObject(offsets)
            const isAlwaysNews = error !== null || divergingEpoch !== null || bytes > 0
            if (isAlwaysNews)
              expect(followed.get(partition)!.told).toMatchObject({ error, divergingEpoch, bytes })
            expect(told.has(partition) || !isAlwaysNews).toBe(true)
          }
        }
      }
      for (let index = 0; index < count; index++) add(index)
      for (const each of steps) {
        if (each.kind === 'fetch') await fetches(each)
        else if (each.kind === 'time') for (const { membership } of both) membership.time += each.ms
        else if (each.kind === 'add') add(each.at)
        else if (each.kind === 'go back') {
          if (followed.has(each.at))
            Object.assign(followed.get(each.at)!, { fetchOffset: 0, highWatermark: 0, isToBeAsked: true })
        } else if (each.kind === 'forget') {
          if (followed.delete(each.at)) forgotten.push(each.at)
        } else if (each.kind === 'new life') {
          replicaEpoch = resting.membership.registrations.get(2)!.brokerEpoch
          begin()
        } else await change([each])
        expect(resting.opinion).toEqual(looking.opinion)
      }
    }),
    { numRuns: 25 },
  )
  expect(rested).toBeGreaterThan(100)
})
