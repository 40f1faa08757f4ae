import { errors, type KafkaError, type KafkaErrorName } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Cancellation } from '../cancellation.js'
import type { RequestContext } from '../request-context.js'
import { type AnyApi, supportedApis } from '../supported-apis.js'
import { divide, type IsStruck, type Message, placesOf } from '../error-responses.js'
import { type WaitOptions, waitFor } from './waiting.js'

/** Which requests go wrong, and how. */
export interface FaultOptions {
  /** The API by Kafka's name, `'Produce'`, or by its key, 0: any that the broker serves. */
  api: string | number
  /** Only requests that name this topic. What else they ask for is done, unless the connection is dropped. */
  topic?: string
  /** Only requests that name this partition of `topic`. */
  partition?: number
  /** Only requests with this client id. */
  clientId?: string
  /** How many requests; `Infinity` for all of them until the fault is removed. Default 1. */
  times?: number
  /** Answers with this error of Kafka's, by its name, wherever the API's response has a place for one. */
  error?: KafkaErrorName
  /** Ends the connection instead of answering. */
  drop?: boolean
  /** Lets the request wait for so many ms of the broker's clock, and what follows it on its connection with it. */
  delayMs?: number
  /**
   * Whether the fault comes `'before'` the request is executed, so that with an error or a dropped connection it never is, or
   * `'after'`, so that only its answer is late, another one or lost. Default `'before'`.
   */
  when?: 'before' | 'after'
}

/** A fault that was injected. */
export interface Fault extends Disposable {
  /** How many requests it has met. */
  readonly hits: number
  /**
   * Resolves when it has met so many requests, with how many; a request that is delayed counts from when it came.
   *
   * @param hits default 1
   * @throws VarveError `VARVE_WAIT_TIMEOUT`, `VARVE_BROKER_CLOSED`; the signal's reason
   */
  waitForHits(hits?: number, options?: WaitOptions): Promise<number>
  /** Lets no further request meet it. */
  remove(): void
}

/** What a test lets go wrong in a broker. */
export interface FaultInjection {
  /**
   * Lets requests go wrong from now on. Of several faults that a request could meet it meets the one that was injected
   * first, and no other.
   *
   * @throws VarveError `VARVE_INVALID_OPTION`
   */
  inject(fault: FaultOptions): Fault
  /** Removes all faults. */
  clear(): void
}

/** A fault as it is kept. */
export class ActiveFault implements Fault {
  readonly api: AnyApi
  readonly error: KafkaError | null
  readonly drops: boolean
  readonly delayMs: number
  readonly isAfter: boolean
  /** Null when it is for all that a request asks for. */
  readonly isStruck: IsStruck | null
  readonly #clientId: string | undefined
  readonly #times: number
  readonly #faults: Faults
  readonly #listeners = new Set<() => void>()
  #hits = 0

  constructor(options: FaultOptions, faults: Faults) {
    const {
      topic,
      partition,
      clientId,
      times = 1,
      error,
      drop = false,
      delayMs = 0,
      when = 'before',
    } = options
    this.api = checkApi(options)
    if (error !== undefined && (!(error in errors) || error === 'NONE'))
      throw refused(`error must be the name of one of Kafka's errors, not ${JSON.stringify(error)}`)
    if (error !== undefined && drop)
      throw refused('give either error or drop: one that is dropped gets no answer')
    if (error === undefined && !drop && delayMs === 0) throw refused('give error, drop or delayMs')
    if (!Number.isSafeInteger(delayMs) || delayMs < 0)
      throw refused(`delayMs must be a whole number from 0 on, not ${delayMs}`)
    if (times !== Infinity && (!Number.isSafeInteger(times) || times < 1))
      throw refused(`times must be a whole number from 1 on, or Infinity, not ${times}`)
    if (when !== 'before' && when !== 'after')
      throw refused(`when must be 'before' or 'after', not ${JSON.stringify(when)}`)
    this.error = error === undefined ? null : errors[error]
    this.drops = drop
    this.delayMs = delayMs
    this.isAfter = when === 'after'
    this.isStruck =
      topic === undefined
        ? null
        : (name, index) =>
            name === topic && (partition === undefined || index === null || index === partition)
    this.#clientId = clientId
    this.#times = times
    this.#faults = faults
  }

  get hits(): number {
    return this.#hits
  }

  async waitForHits(hits = 1, options: WaitOptions = {}): Promise<number> {
    const look = (): number | null => (this.#hits >= hits ? this.#hits : null)
    const listen = (changed: () => void): (() => void) => {
      this.#listeners.add(changed)
      return () => this.#listeners.delete(changed)
    }
    const describe = (): string =>
      `the fault had not met ${hits} ${this.api.name} requests; it had met ${this.#hits}`
    return await waitFor({ look, listen, describe, closing: this.#faults.closing }, options)
  }

  remove(): void {
    this.#faults.forget(this)
  }

  [Symbol.dispose](): void {
    this.remove()
  }

  meets(request: Message, { clientId, broker }: RequestContext): boolean {
    if (this.#clientId !== undefined && this.#clientId !== clientId) return false
    if (this.isStruck === null) return true
    const nameOf = (id: string): string | undefined => broker.topics.getById(id)?.name
    return divide(this.api, request, this.isStruck, nameOf)[0] !== null
  }

  count(): void {
    if (++this.#hits >= this.#times) this.remove()
    for (const listener of this.#listeners) listener()
  }
}

/** The faults of a broker. */
export class Faults implements FaultInjection {
  readonly closing: Cancellation
  /** In the order in which they were injected. */
  readonly #active = new Set<ActiveFault>()

  constructor(closing: Cancellation) {
    this.closing = closing
  }

  inject(options: FaultOptions): Fault {
    const fault = new ActiveFault(options, this)
    this.#active.add(fault)
    return fault
  }

  clear(): void {
    this.#active.clear()
  }

  forget(fault: ActiveFault): void {
    this.#active.delete(fault)
  }

  /** The fault that a request meets, which counts it; null for almost all. */
  strike(api: AnyApi, request: unknown, context: RequestContext): ActiveFault | null {
    if (this.#active.size === 0) return null
    for (const fault of this.#active) {
      if (fault.api !== api || !fault.meets(whole(api, request as Message, context), context)) continue
      fault.count()
      return fault
    }
    return null
  }
}

const fetchKey = 1

/** The request with what it does not say because its session knows. */
function whole(api: AnyApi, request: Message, { broker }: RequestContext): Message {
  if (api.key !== fetchKey) return request
  return { ...request, topics: [...broker.fetchSessions.named(request as never)] }
}

/** @throws VarveError `VARVE_INVALID_OPTION` */
function checkApi({ api: given, topic, partition }: FaultOptions): AnyApi {
  const served = [...supportedApis.values()].map(({ api }) => api)
  const api = served.find(({ key, name }) => key === given || name === given)
  if (api === undefined) {
    throw refused(
      `api must be one of ${served.map(({ name }) => name).join(', ')}, not ${JSON.stringify(given)}`,
    )
  }
  if (partition !== undefined && topic === undefined) throw refused('partition needs its topic')
  if (partition !== undefined && (!Number.isSafeInteger(partition) || partition < 0))
    throw refused(`partition must be a whole number from 0 on, not ${partition}`)
  const names = placesOf(api)
  if (topic !== undefined && !names.topics) throw refused(`requests of ${api.name} name no topics`)
  if (partition !== undefined && !names.partitions)
    throw refused(`requests of ${api.name} name no partitions`)
  return api
}

function refused(message: string): VarveError {
  return new VarveError('VARVE_INVALID_OPTION', `a fault cannot be injected: ${message}`)
}
