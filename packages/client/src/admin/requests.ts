import { errors } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Clock } from '../clock.js'
import type { Cluster } from '../cluster.js'
import type { Connection } from '../connection.js'
import { findCoordinators } from '../coordinators.js'
import { KafkaError } from '../kafka-error.js'
import { partitionName, type TopicPartition } from '../topic-partition.js'

/** What became of one of several things that were asked for together. */
export type Outcome<T> = T | VarveError

/** Asks one broker about some items; an outcome for each, in their order. */
export type Ask<I, T> = (connection: Connection, items: readonly I[]) => Promise<Array<Outcome<T>>>

type Route<I> = (items: readonly I[]) => Promise<Array<Outcome<number>>>

const RETRY_MS = 100

/** Takes questions to the brokers that can answer them, again and again while the reason for a failure may pass. */
export class AdminRequests {
  readonly cluster: Cluster
  readonly timeoutMs: number
  private readonly clock: Clock

  constructor(cluster: Cluster, clock: Clock, timeoutMs: number) {
    this.cluster = cluster
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  /** Any broker will do. */
  async anywhere<T>(
    signal: AbortSignal | undefined,
    ask: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    return this.retrying(signal, isPassing, async () => ask(await this.cluster.anyConnection()))
  }

  /**
   * What only the controller does. `ask` throws NOT_CONTROLLER for the controller to be found again.
   *
   * @param mayRepeat doing it twice is as good as once, so that it is also tried again after what else may pass
   */
  async atController<T>(
    signal: AbortSignal | undefined,
    ask: (connection: Connection) => Promise<T>,
    mayRepeat = false,
  ): Promise<T> {
    return this.retrying(signal, mayRepeat ? isPassing : isNotController, async () => {
      // Metadata is what says which broker is the controller.
      await this.cluster.refresh([], { signal })
      return ask(await this.cluster.controllerConnection())
    })
  }

  /** Each node by its id. */
  async atNodes<I extends { readonly nodeId: number }, T>(
    items: readonly I[],
    signal: AbortSignal | undefined,
    ask: Ask<I, T>,
  ): Promise<Array<Outcome<T>>> {
    const route: Route<I> = async (asked) => {
      await this.cluster.refresh([], { signal })
      return asked.map(({ nodeId }) => nodeId)
    }
    return this.routed(items, signal, route, ask)
  }

  /** Each group at its coordinator. */
  async atCoordinators<T>(
    groupIds: readonly string[],
    signal: AbortSignal | undefined,
    ask: Ask<string, T>,
  ): Promise<Array<Outcome<T>>> {
    const route: Route<string> = async (asked) => {
      const found = await findCoordinators(this.cluster, [...new Set(asked)], signal)
      return asked.map((groupId) => found.get(groupId)!)
    }
    return this.routed(groupIds, signal, route, ask)
  }

  /** Each partition at its leader. */
  async atLeaders<I extends TopicPartition, T>(
    partitions: readonly I[],
    signal: AbortSignal | undefined,
    ask: Ask<I, T>,
  ): Promise<Array<Outcome<T>>> {
    const route: Route<I> = async (asked) => {
      const refreshed = await this.cluster.refresh([...new Set(asked.map(({ topic }) => topic))], { signal })
      return asked.map((where) => this.leaderOf(where, refreshed.errors.get(where.topic)))
    }
    return this.routed(partitions, signal, route, ask)
  }

  /** Goes on until `attempt` succeeds, fails for good, or `timeoutMs` is over. */
  async retrying<T>(
    signal: AbortSignal | undefined,
    mayRetry: (error: unknown) => boolean,
    attempt: () => Promise<T>,
  ): Promise<T> {
    const until = this.clock.now() + this.timeoutMs
    for (;;) {
      signal?.throwIfAborted()
      try {
        return await attempt()
      } catch (error) {
        if (!mayRetry(error) || this.clock.now() + RETRY_MS >= until) throw error
      }
      await this.pause()
    }
  }

  private leaderOf(where: TopicPartition, topicError: number | undefined): Outcome<number> {
    const name = partitionName(where)
    if (topicError !== undefined) return new KafkaError(topicError, `Finding the leader of ${name}`)
    const count = this.cluster.topic(where.topic)?.partitions.length ?? 0
    if (!(where.partition >= 0 && where.partition < count)) return unknownPartition(where, count)
    return (
      this.cluster.leaderOf(where.topic, where.partition) ??
      new VarveError('VARVE_NO_LEADER', `No leader of ${name} is known`, { retriable: true })
    )
  }

  /** Items whose failure may pass are routed and asked again, the others keep their outcome. */
  private async routed<I, T>(
    items: readonly I[],
    signal: AbortSignal | undefined,
    route: Route<I>,
    ask: Ask<I, T>,
  ): Promise<Array<Outcome<T>>> {
    const outcomes: Array<Outcome<T>> = []
    const until = this.clock.now() + this.timeoutMs
    let pending = items.map((_, index) => index)
    while (pending.length > 0) {
      signal?.throwIfAborted()
      await this.attempt(items, pending, outcomes, route, ask)
      pending = pending.filter((index) => isPassing(outcomes[index]))
      if (this.clock.now() + RETRY_MS >= until) break
      if (pending.length > 0) await this.pause()
    }
    return outcomes
  }

  private async attempt<I, T>(
    items: readonly I[],
    pending: readonly number[],
    outcomes: Array<Outcome<T>>,
    route: Route<I>,
    ask: Ask<I, T>,
  ): Promise<void> {
    const byNode = new Map<number, number[]>()
    try {
      const nodes = await route(pending.map((index) => items[index]!))
      pending.forEach((index, position) => {
        const node = nodes[position]!
        if (typeof node === 'number') byNode.set(node, [...(byNode.get(node) ?? []), index])
        else outcomes[index] = node
      })
    } catch (error) {
      // Nobody at all to ask is the caller's to know at once.
      if (!isPassing(error)) throw error
      for (const index of pending) outcomes[index] = error as VarveError
      return
    }
    const asking = [...byNode].map(async ([node, indexes]) => {
      try {
        const connection = await this.cluster.connectionTo(node)
        const found = await ask(
          connection,
          indexes.map((index) => items[index]!),
        )
        indexes.forEach((index, position) => (outcomes[index] = found[position]!))
      } catch (error) {
        if (!VarveError.is(error)) throw error
        for (const index of indexes) outcomes[index] = error
      }
    })
    await Promise.all(asking)
  }

  private async pause(): Promise<void> {
    await new Promise<void>((resolve) => this.clock.after(RETRY_MS, resolve))
  }
}

/** All results, or the first failure, with an AggregateError of all as its `cause` when there are several. */
export function allOrThrow<T>(outcomes: ReadonlyArray<Outcome<T>>): T[] {
  const failures = outcomes.filter((outcome) => VarveError.is(outcome))
  const [first] = failures
  if (first === undefined) return outcomes as T[]
  if (failures.length > 1)
    first.cause = new AggregateError(failures, `${failures.length} failures in one call`)
  throw first
}

/** What came for each item, found by its key. What the broker says nothing about is an error. */
export function inOrder<I, A, T>(
  items: readonly I[],
  answers: Iterable<A>,
  keys: { item: (item: I) => string; answer: (answer: A) => string },
  what: string,
  result: (answer: A, item: I) => Outcome<T>,
): Array<Outcome<T>> {
  const byKey = new Map<string, A>()
  for (const answer of answers) byKey.set(keys.answer(answer), answer)
  return items.map((item) => {
    const key = keys.item(item)
    const answer = byKey.get(key)
    if (answer !== undefined) return result(answer, item)
    return new VarveError('VARVE_INVALID_RESPONSE', `The broker's response to ${what} does not name '${key}'`)
  })
}

export function unknownPartition({ topic, partition }: TopicPartition, count: number): VarveError {
  return new VarveError(
    'VARVE_UNKNOWN_PARTITION',
    `Topic '${topic}' has no partition ${partition}: it has ${count}, numbered from 0`,
  )
}

export function isNotController(error: unknown): boolean {
  return error instanceof KafkaError && error.kafkaCode === errors.NOT_CONTROLLER.code
}

export function throwIfMoved(errorCode: number, what: string): void {
  const error = errorCode === 0 ? null : new KafkaError(errorCode, what)
  if (error !== null && isNotController(error)) throw error
}

/** The partition that an answer in a list of a topic's partitions is about, as `partitionName` writes it. */
export const answerName = (answer: { topic: string; partitionIndex: number }): string =>
  partitionName({ topic: answer.topic, partition: answer.partitionIndex })

/** Leaders move and connections end; but a topic that is not there, or a cluster, is an answer to these questions. */
export function isPassing(error: unknown): boolean {
  if (!VarveError.is(error) || !error.retriable || error.code === 'VARVE_NO_BROKER') return false
  return !(error instanceof KafkaError && error.kafkaCode === errors.UNKNOWN_TOPIC_OR_PARTITION.code)
}
