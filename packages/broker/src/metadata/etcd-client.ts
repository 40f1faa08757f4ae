import type { Clock } from '../clock.js'
import { EtcdFailure, outcomeUnknown, unavailable } from './etcd-failure.js'
import { EtcdHttp } from './etcd-http.js'
import type { EtcdConnection, EtcdEndpoint } from './etcd-url.js'
import { type Json, objectIn } from './etcd-values.js'
import { metadataClosed } from './metadata-store.js'

export interface EtcdClientOptions extends EtcdConnection {
  readonly clock: Clock
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
}

/**
 * What may be done with a request of which nobody knows whether it was applied: a `'read'` changes nothing, what is `'repeatable'` is
 * the same when it is done twice, and what is to be done `'once'` is not sent again.
 */
export type EtcdRepetition = 'read' | 'repeatable' | 'once'

/** Sends requests to whichever member of an etcd cluster answers, as a user of etcd where there is one. */
export class EtcdClient {
  readonly http: EtcdHttp
  readonly #options: EtcdClientOptions
  readonly #movers = new Set<() => void>()
  /** Which endpoint is asked: the same one as long as it answers. */
  #current = 0
  /** Undefined: none yet. Null: etcd does not want any. */
  #token: string | null | undefined
  #authenticating: Promise<string | null> | null = null
  #clusterId: string | null = null
  #isClosed = false

  constructor(options: EtcdClientOptions) {
    this.#options = options
    this.http = new EtcdHttp(options)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get endpoints(): number {
    return this.#options.endpoints.length
  }

  /** Calls `moved` whenever another endpoint is asked from now on, until the returned function is called. */
  onMove(moved: () => void): () => void {
    this.#movers.add(moved)
    return () => this.#movers.delete(moved)
  }

  /**
   * Asks one endpoint after the other until one answers.
   *
   * @throws VarveError `VARVE_METADATA_UNAVAILABLE`, `VARVE_METADATA_OUTCOME_UNKNOWN` (not for what is a `'read'`), `VARVE_METADATA_CLOSED`;
   * EtcdFailure for what etcd refuses whoever is asked
   */
  async call<T>(
    path: string,
    body: Json,
    repetition: EtcdRepetition,
    decode: (answer: Json) => T,
  ): Promise<T> {
    const failures: EtcdFailure[] = []
    // The first one twice: its connection may have been left over from before etcd was started again.
    for (let tries = 0; tries <= this.endpoints; tries++) {
      if (this.#isClosed) throw metadataClosed()
      try {
        return await this.attempt(async (endpoint, token) => {
          const answer = await this.http.ask({ endpoint, path, body, token })
          return this.read(endpoint, () => decode(answer))
        })
      } catch (error) {
        if (!(error instanceof EtcdFailure) || !error.isOfEndpoint) throw error
        failures.push(error)
        if (error.kind === 'unknown' && repetition === 'once') break
      }
    }
    if (repetition !== 'read' && failures.some(({ kind }) => kind === 'unknown'))
      throw outcomeUnknown(failures)
    throw unavailable(failures)
  }

  /** Tries once, or twice where etcd has forgotten who asks. @throws EtcdFailure, and whatever `run` does */
  async attempt<T>(run: (endpoint: EtcdEndpoint, token: string | null) => Promise<T>): Promise<T> {
    const endpoint = this.#options.endpoints[this.#current]!
    const runAs = async (token: string | null): Promise<T> => {
      if (this.#isClosed) throw metadataClosed()
      return await run(endpoint, token)
    }
    try {
      const token = await this.#tokenFrom(endpoint)
      try {
        return await runAs(token)
      } catch (error) {
        if (!(error instanceof EtcdFailure) || !error.isOfToken || this.#options.user === null) throw error
        if (this.#token === token) this.#token = undefined
        return await runAs(await this.#tokenFrom(endpoint))
      }
    } catch (error) {
      if (error instanceof EtcdFailure && error.isOfEndpoint) this.#leave(endpoint)
      throw error
    }
  }

  /** Takes in what an endpoint has answered. @throws EtcdFailure where it is not what etcd says, or another etcd says it */
  read<T>(endpoint: EtcdEndpoint, decode: () => T): T {
    try {
      return decode()
    } catch (error) {
      if (error instanceof EtcdFailure) throw error
      throw new EtcdFailure(endpoint, 'unknown', (error as Error).message, { cause: error })
    }
  }

  /**
   * Makes sure that all endpoints are of one cluster: revisions of two have nothing to do with each other.
   *
   * @throws Error
   */
  checkCluster(answer: Json): void {
    const id = objectIn(answer['header'])['cluster_id']
    if (typeof id !== 'string') return
    this.#clusterId ??= id
    if (id === this.#clusterId) return
    throw new Error(
      `is of the etcd cluster ${id}, and what answered first of ${this.#clusterId}; name endpoints of one cluster, and start the broker again where it was replaced`,
    )
  }

  close(): void {
    this.#isClosed = true
    this.http.close()
  }

  #leave(endpoint: EtcdEndpoint): void {
    const { endpoints } = this.#options
    if (endpoints.length === 1 || endpoints[this.#current] !== endpoint) return
    this.#current = (this.#current + 1) % endpoints.length
    for (const moved of this.#movers) moved()
  }

  async #tokenFrom(endpoint: EtcdEndpoint): Promise<string | null> {
    if (this.#options.user === null) return null
    if (this.#token !== undefined) return this.#token
    // Checking a password costs etcd a good part of a processor for a tenth of a second.
    this.#authenticating ??= this.#authenticate(endpoint).finally(() => {
      this.#authenticating = null
    })
    return (this.#token = await this.#authenticating)
  }

  async #authenticate(endpoint: EtcdEndpoint): Promise<string | null> {
    try {
      const body = { ...this.#options.user }
      const answer = await this.http.ask({ endpoint, path: '/v3/auth/authenticate', body, token: null })
      return this.read(endpoint, () => {
        if (typeof answer['token'] === 'string') return answer['token']
        throw new Error('authenticated without a token')
      })
    } catch (error) {
      if (error instanceof EtcdFailure && error.message.includes('authentication is not enabled')) return null
      // Whatever was asked has not been sent.
      if (error instanceof EtcdFailure && error.kind === 'unknown')
        throw new EtcdFailure(endpoint, 'not sent', error.reason, { cause: error })
      throw error
    }
  }
}
