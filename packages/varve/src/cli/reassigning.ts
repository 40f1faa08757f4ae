import { setTimeout as after } from 'node:timers/promises'
import type { Admin, PartitionOutcome } from '@varve/client'
import type { PartitionReplicas } from '@varve/partitioning'
import { VarveError } from '@varve/records'
import { liveNodes, ReplicaSizes, type ClusterState } from './cluster-state.js'
import { count } from './counted.js'
import { Failure, report } from './failure.js'
import { onInterrupt } from './interrupt.js'
import { ProgressLine } from './progress-line.js'
import { table } from './table.js'
import { bytesText } from './tally.js'
import { placeName, type Place } from './topic-places.js'

export interface ReassigningOptions {
  /** False with --no-wait. */
  wait: boolean
  /** How long to wait, in ms. */
  timeout?: number
  /** How many partitions may be under way at a time. */
  batch: number
}

/** A partition whose replicas are to change. */
export interface Move extends PartitionReplicas {
  readonly before: readonly number[]
  /** To be copied to each broker that does not have the partition yet. */
  readonly bytes: number
}

const POLL_MS = 250
const LEARNING_MS = 10_000

/** Brokers that get a copy of the partition. */
export const newReplicas = ({ replicas, before }: Pick<Move, 'replicas' | 'before'>): number[] =>
  replicas.filter((id) => !before.includes(id))

/** What a plan moves, with what it weighs. */
export async function movesOf(
  admin: Admin,
  state: ClusterState,
  plan: readonly PartitionReplicas[],
): Promise<Move[]> {
  if (plan.length === 0) return []
  const before = new Map(
    state.partitions.map(({ topic, partition, replicas }) => [placeName({ topic, partition }), replicas]),
  )
  const nodeIds = liveNodes(state).map(({ nodeId }) => nodeId)
  const sizes = await ReplicaSizes.of(admin, nodeIds, plan)
  return plan.map((one) => {
    const replicas = before.get(placeName(one)) ?? []
    return { ...one, before: replicas, bytes: sizes.most(replicas, one) }
  })
}

export const bytesToCopy = (moves: readonly Move[]): number =>
  moves.reduce((sum, move) => sum + move.bytes * newReplicas(move).length, 0)

export function movesText(moves: readonly Move[]): string {
  return table(
    [
      { head: 'TOPIC', cell: ({ topic }) => topic },
      { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
      { head: 'REPLICAS', cell: ({ before }) => before.join(',') },
      { head: 'NEW-REPLICAS', cell: ({ replicas }) => replicas.join(',') },
      { head: 'COPY-BYTES', right: true, cell: (move) => move.bytes * newReplicas(move).length },
    ],
    moves,
  )
}

/** The file that kafka-reassign-partitions takes and makes, and `varve cluster reassign` too. */
export function planDocument(plan: readonly PartitionReplicas[]): unknown {
  return {
    version: 1,
    partitions: plan.map(({ topic, partition, replicas }) => ({ topic, partition, replicas })),
  }
}

/** A partition that was refused, or came to something else than was asked for. */
export interface Unmoved extends Place {
  readonly error: string | null
  readonly message: string
}

/** What became of a plan. */
export interface Reassigned {
  readonly done: Move[]
  /** Accepted, and not done yet when waiting ended. */
  readonly pending: Move[]
  readonly failed: Unmoved[]
}

/**
 * Asks for moves, at most `batch` at a time, and waits until the new replicas have everything. It ends early when the
 * time is over or with Ctrl-C: what has been asked for goes on in the cluster all the same.
 */
export class Reassigning {
  readonly #admin: Admin
  readonly #options: ReassigningOptions
  readonly #queue: Move[]
  readonly #underWay = new Map<string, Move>()
  readonly #done: Move[] = []
  readonly #failed: Unmoved[] = []
  readonly #total: number
  #copying = 0

  constructor(admin: Admin, moves: readonly Move[], options: ReassigningOptions) {
    this.#admin = admin
    this.#queue = [...moves]
    this.#total = moves.length
    this.#options = options
  }

  /** Does it; see above. */
  async carryOut(): Promise<Reassigned> {
    const { signal: interrupted, exitCode } = onInterrupt()
    const { timeout, wait, batch } = this.#options
    const isOver = timeout === undefined ? undefined : AbortSignal.timeout(timeout)
    const signal = isOver === undefined ? interrupted : AbortSignal.any([interrupted, isOver])
    const line = new ProgressLine()
    line.show(() => this.#progress())
    try {
      while (this.#queue.length > 0 && !signal.aborted) {
        await this.#ask(this.#queue.splice(0, wait ? batch - this.#underWay.size : batch))
        if (wait) await this.#settle(signal, batch)
      }
      if (wait) await this.#settle(signal, 1)
    } finally {
      line.hide()
    }
    await this.#compare()
    const pending = [...this.#underWay.values(), ...this.#queue]
    if (wait && pending.length > 0) this.#tellPending(pending.length, interrupted.aborted)
    if (interrupted.aborted) process.exitCode = exitCode()
    return { done: this.#done, pending, failed: this.#failed }
  }

  async #ask(moves: readonly Move[]): Promise<void> {
    const outcomes = await this.#admin.alterPartitionReassignments(moves)
    outcomes.forEach(({ error }, index) => {
      const move = moves[index]!
      if (error === null) this.#underWay.set(placeName(move), move)
      else this.#failed.push(unmoved(move, error))
    })
  }

  /** Waits until there are fewer than `limit` under way. */
  async #settle(signal: AbortSignal, limit: number): Promise<void> {
    for (;;) {
      const places = [...this.#underWay.values()]
      const found = await this.#admin.listPartitionReassignments(places)
      const names = new Set(found.map(placeName))
      for (const move of places) {
        if (names.has(placeName(move))) continue
        this.#underWay.delete(placeName(move))
        this.#done.push(move)
      }
      if (this.#underWay.size < limit || signal.aborted) return
      this.#copying = await this.#copied()
      await after(POLL_MS, undefined, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  }

  /** What has come of those under way, in bytes, for whoever looks on; as before where a broker does not tell. */
  async #copied(): Promise<number> {
    if (!process.stderr.isTTY) return 0
    try {
      return await this.#bytesUnderWay()
    } catch (error) {
      if (VarveError.is(error)) return this.#copying
      throw error
    }
  }

  async #bytesUnderWay(): Promise<number> {
    const moves = [...this.#underWay.values()]
    const nodeIds = [...new Set(moves.flatMap(newReplicas))]
    if (nodeIds.length === 0) return 0
    const sizes = await ReplicaSizes.of(this.#admin, nodeIds, moves)
    return moves.reduce(
      (sum, move) => sum + newReplicas(move).reduce((own, id) => own + sizes.on(id, move), 0),
      0,
    )
  }

  #progress(): string {
    const left = [...this.#underWay.values(), ...this.#queue]
    const copied = bytesToCopy(this.#done) + this.#copying
    const all = bytesToCopy([...this.#done, ...left])
    return `moved ${this.#done.length} of ${count(this.#total, 'partition')}, ${bytesText(copied)} of ${bytesText(all)}`
  }

  /** What is under way no more is done, unless somebody else has changed it. Brokers learn of it some time after their controller. */
  async #compare(): Promise<void> {
    const until = performance.now() + LEARNING_MS
    let left = this.#done.splice(0)
    while (left.length > 0) {
      const found = await this.#replicasOf(left)
      const isDone = (move: Move): boolean => found.get(placeName(move)) === move.replicas.join()
      this.#done.push(...left.filter(isDone))
      left = left.filter((move) => !isDone(move))
      if (left.length === 0) return
      if (performance.now() >= until) {
        for (const move of left) this.#failed.push(changed(move, found.get(placeName(move)) ?? 'none'))
        return
      }
      await after(POLL_MS)
    }
  }

  async #replicasOf(places: readonly Place[]): Promise<Map<string, string>> {
    const topics = await this.#admin.describeTopicPartitions([...new Set(places.map(({ topic }) => topic))])
    return new Map(
      topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partition, replicas }) => [placeName({ topic: name, partition }), replicas.join()]),
      ),
    )
  }

  #tellPending(number: number, isInterrupted: boolean): void {
    const why = isInterrupted ? 'interrupted' : `not done within ${this.#options.timeout} ms`
    const message = `${why}: ${count(this.#underWay.size, 'partition')} of ${number} left will be moved all the same. varve cluster status shows them, varve cluster reassign --cancel ends them`
    process.exitCode = report(new Failure(message))
  }
}

function changed(move: Move, found: string): Unmoved {
  const { topic, partition, replicas } = move
  const message = `${placeName(move)} has the replicas ${found} and not ${replicas.join()}: somebody else has changed it meanwhile`
  return { topic, partition, error: null, message }
}

export function unmoved({ topic, partition }: Place, error: NonNullable<PartitionOutcome['error']>): Unmoved {
  return { topic, partition, error: error.kafkaName, message: error.message }
}

/** One line for each that was refused, on standard error, and the exit code that goes with it. */
export function reportUnmoved(failed: readonly Unmoved[]): void {
  for (const { message } of failed) process.exitCode = report(new Failure(message))
}
