import { VarveError } from '@varve/records'
import {
  BrokerSession,
  type BrokerSessionOptions,
  type ClusterChange,
  ClusterImage,
  Controller,
  type ControllerConfig,
  type ControllerRequest,
  type ControllerResult,
  type MetadataEvent,
  type MetadataOutcome,
  type MetadataTransaction,
} from '@varve/replication'
import { type BrokerLog, errorFields, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import { type MetadataFollowing, type MetadataStore, wasNotApplied } from '../metadata/metadata-store.js'

/** How often what only time changes is looked at; a controller wants it this often. */
const tickMs = 100

/** How often who cannot register says so. */
const refusalLineEveryMs = 30_000

export interface ClusterMemberOptions {
  readonly store: MetadataStore
  readonly brokerId: number
  readonly clock: Clock
  readonly log: BrokerLog
  /** What the broker's configurations say of the cluster now. */
  readonly controllerConfig: () => ControllerConfig
}

/** What a registration says beside what the member knows. */
export type Registration = Pick<
  BrokerSessionOptions,
  'incarnationId' | 'directoryId' | 'rack' | 'endpoints' | 'mayHaveLostRecords' | 'leaseTtlSeconds'
>

/** Is told after the image has changed: of everything, or of what is another. */
export type ImageListener = (changes: readonly ClusterChange[] | null) => void

/**
 * One broker's part in a cluster: it follows the metadata store, is registered there for as long as it lives, and is the
 * controller when it is its turn. What is to be done the rules of `@varve/replication` say; this carries it out.
 */
export class ClusterMember {
  readonly image = new ClusterImage()
  readonly #options: ClusterMemberOptions
  readonly #following: MetadataFollowing
  readonly #listeners = new Set<ImageListener>()
  readonly #replies = new Map<number, (result: ControllerResult) => void>()
  #session: BrokerSession | null = null
  #controller: Controller | null = null
  #controllerRevision = -1
  #isPumping = false
  #isClosed = false
  #timer: Timer = undefined
  #lastRefusalLine = -Infinity
  #stopped: (() => void) | null = null
  #notRegistered: ((reason: VarveError) => void) | null = null
  #takenOver: VarveError | null = null
  #tellTakenOver: (reason: VarveError) => void = () => {}
  readonly #revoking = new Set<Promise<void>>()

  private constructor(options: ClusterMemberOptions, ready: () => void, failed: (error: VarveError) => void) {
    this.#options = options
    this.#following = options.store.follow('/', {
      reset: (entries, revision) => {
        this.image.reset(entries, revision)
        ready()
        this.#imageChanged(null, null)
      },
      events: (events) => {
        const changes: ClusterChange[] = []
        for (const event of events) {
          const change = this.image.apply(event)
          if (change !== null) changes.push(change)
        }
        this.#imageChanged(events, changes)
      },
      failed,
    })
  }

  /**
   * Follows the store, and resolves when it is known what it holds.
   *
   * @throws VarveError what keeps the store from being read, if it does so at once
   */
  static async open(options: ClusterMemberOptions): Promise<ClusterMember> {
    let member: ClusterMember | null = null
    try {
      await new Promise<void>((resolve, reject) => {
        member = new ClusterMember(options, resolve, reject)
      })
      return member!
    } catch (error) {
      member!.close()
      throw error
    }
  }

  /** This broker's epoch; -1 while it has none. */
  get brokerEpoch(): number {
    return this.#session?.brokerEpoch ?? -1
  }

  /** Whether this broker is the controller, as far as it knows. */
  get isController(): boolean {
    return this.#controller !== null
  }

  /** The image has a registration of this process, so that it is not older than the logs. */
  get isUpToDate(): boolean {
    return this.brokerEpoch !== -1
  }

  /** A controller has noted what this broker may have lost. */
  get hasBeenUnfenced(): boolean {
    return this.#session?.hasBeenUnfenced ?? false
  }

  /** What keeps this broker from doing its part, once it has begun to be one of the cluster. */
  problems(): string[] {
    const { brokerId } = this.#options
    switch (this.#session?.state) {
      case 'starting': {
        return [
          this.#session.refusal === null
            ? `broker ${brokerId} is not registered in the metadata store; it is again as soon as that answers`
            : takenId(brokerId),
        ]
      }
      case 'fenced': {
        return [`no controller has taken note of broker ${brokerId} yet`]
      }
      default: {
        return []
      }
    }
  }

  /** Calls `listener` after each change of the image, and of whether this broker is registered or the controller. */
  onChange(listener: ImageListener): void {
    this.#listeners.add(listener)
  }

  /** Begins to be a broker of the cluster: registers, and stays registered. */
  register(registration: Registration): void {
    this.#session = new BrokerSession({
      ...registration,
      brokerId: this.#options.brokerId,
      image: this.image,
      now: this.#now(),
    })
    this.#imageChanged(null, null)
    this.#tick()
  }

  /** What the broker's configurations say of the cluster has changed. */
  reconfigureController(): void {
    this.#controller?.configure(this.#options.controllerConfig(), this.#now())
    this.#pump()
  }

  /** The replicas, as `topicId:partition`, whose logs have failed. */
  setOfflineReplicas(replicas: readonly string[]): void {
    this.#session?.setOfflineReplicas(replicas, this.#now())
    this.#pump()
  }

  /**
   * Resolves when the controller has noted the registration, so that clients find this broker.
   *
   * @throws VarveError `VARVE_BROKER_ID_TAKEN`; `VARVE_BROKER_CLOSED` when this is closed before
   */
  async untilRegistered(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#notRegistered = reject
      if (this.#isClosed) return reject(closedBefore())
      if (this.#takenOver !== null) return reject(this.#takenOver)
      const look = (): void => {
        if (!this.hasBeenUnfenced) return
        this.#listeners.delete(look)
        resolve()
      }
      this.#listeners.add(look)
      look()
    })
  }

  /** Calls `listener` once another process is registered with this one's id and data: this one takes no part any more. */
  onTakenOver(listener: (reason: VarveError) => void): void {
    this.#tellTakenOver = listener
    if (this.#takenOver !== null) listener(this.#takenOver)
  }

  /** Asks the controller, which is this broker; NOT_CONTROLLER when it is none. */
  request(request: ControllerRequest): Promise<ControllerResult> {
    const controller = this.#controller
    if (controller === null) return Promise.resolve({ error: 'NOT_CONTROLLER', partitions: [] })
    return new Promise((resolve) => {
      this.#replies.set(controller.request(request, this.#now()), resolve)
      this.#pump()
    })
  }

  /** Puts something, and resolves with how that has ended as far as can be told. */
  async transact(transaction: MetadataTransaction): Promise<MetadataOutcome> {
    try {
      const { succeeded, revision } = await this.#options.store.txn(transaction)
      return succeeded ? { kind: 'succeeded', revision } : { kind: 'failed' }
    } catch (error) {
      const lease = transaction.puts?.find((put) => put.lease !== undefined && put.lease !== 'kept')?.lease
      if (lease !== undefined && VarveError.is(error) && error.code === 'VARVE_LEASE_GONE')
        this.#session?.leaseLost(lease, this.#now())
      if (!this.#isClosed)
        this.#options.log('warn', `the metadata store: ${messageOf(error)}`, errorFields(error))
      return { kind: wasNotApplied(error) ? 'not applied' : 'unknown' }
    }
  }

  /** Nobody listens any more where a broker was: its process has ended, and its lease need not be waited for. */
  connectionRefused(brokerId: number): void {
    const { controller } = this.image
    this.#controller?.connectionReset(brokerId)
    if (controller?.brokerId === brokerId && brokerId !== this.#options.brokerId)
      this.#revoke(controller.lease)
    this.#pump()
  }

  /** Leaves in order: hands over what it leads, as long as that takes no longer than `timeoutMs`, and gives up its registration. */
  async shutDown(timeoutMs: number): Promise<void> {
    const session = this.#session
    if (session === null || session.state === 'stopped') return
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve
    })
    session.shutDown(timeoutMs, this.#now())
    this.#pump()
    await stopped
    // Who closes the store before it has heard of this leaves a registration behind, which lasts as long as its lease.
    const { clock } = this.#options
    let timer: Timer
    const tooLong = new Promise<void>((resolve) => {
      timer = clock.setTimeout(resolve, timeoutMs)
    })
    await Promise.race([Promise.all(this.#revoking), tooLong])
    clock.clearTimeout(timer)
  }

  /** Ends everything. What the store has of this broker goes with its lease. */
  close(): void {
    this.#isClosed = true
    this.#options.clock.clearTimeout(this.#timer)
    this.#following.close()
    this.#controller = null
    for (const reply of this.#replies.values()) reply({ error: 'NOT_CONTROLLER', partitions: [] })
    this.#replies.clear()
    this.#stopped?.()
    this.#notRegistered?.(closedBefore())
  }

  #now(): number {
    return this.#options.clock.now()
  }

  #imageChanged(events: readonly MetadataEvent[] | null, changes: readonly ClusterChange[] | null): void {
    const now = this.#now()
    this.#session?.imageChanged(now)
    if (events === null) this.#controller?.imageReset(now)
    else this.#controller?.imageChanged(events, now)
    this.#becomeController()
    for (const listener of this.#listeners) listener(changes)
    this.#pump()
  }

  #becomeController(): void {
    const revision = this.#session?.controllerRevision ?? null
    if (revision === null) {
      if (this.#controller !== null) this.#options.log('info', 'this broker is not the controller any more')
      this.#controller = null
    } else if (this.#controller === null || this.#controllerRevision !== revision) {
      this.#options.log('info', `this broker is the controller now, at revision ${revision}`)
      this.#controllerRevision = revision
      this.#controller = new Controller({
        brokerId: this.#options.brokerId,
        controllerRevision: revision,
        image: this.image,
        config: this.#options.controllerConfig(),
        now: this.#now(),
      })
    } else return
    // What was asked of another controller than this one nobody answers.
    for (const reply of this.#replies.values()) reply({ error: 'NOT_CONTROLLER', partitions: [] })
    this.#replies.clear()
  }

  #tick(): void {
    if (this.#isClosed) return
    const now = this.#now()
    this.#session?.tick(now)
    this.#controller?.tick(now)
    this.#complain(now)
    this.#pump()
    this.#timer = this.#options.clock.setTimeout(() => this.#tick(), tickMs)
  }

  #complain(now: number): void {
    const { brokerId, log } = this.#options
    if (this.#session?.refusal == null || this.#session.state === 'stopped') return
    if (now - this.#lastRefusalLine < refusalLineEveryMs) return
    this.#lastRefusalLine = now
    log('error', `${takenId(brokerId)}. This one waits`)
  }

  /** Carries out what session and controller want. */
  #pump(): void {
    if (this.#isPumping || this.#isClosed) return
    this.#isPumping = true
    for (let isQuiet = false; !isQuiet;) {
      isQuiet = true
      for (const output of this.#session?.take() ?? []) {
        isQuiet = false
        this.#carryOutForSession(output)
      }
      for (const output of this.#controller?.take() ?? []) {
        isQuiet = false
        this.#carryOutForController(output)
      }
    }
    this.#isPumping = false
    if (this.#session?.state !== 'stopped') return
    if (this.#stopped !== null) this.#stopped()
    else if (this.#session.refusal !== null) this.#isTakenOver()
  }

  #isTakenOver(): void {
    if (this.#takenOver !== null) return
    const text = takenId(this.#options.brokerId)
    this.#options.log('error', `${text}. This one stops`)
    this.#takenOver = new VarveError('VARVE_BROKER_ID_TAKEN', text)
    this.#notRegistered?.(this.#takenOver)
    this.#tellTakenOver(this.#takenOver)
  }

  #carryOutForSession(output: ReturnType<BrokerSession['take']>[number]): void {
    const session = this.#session!
    const { store } = this.#options
    switch (output.kind) {
      case 'grant lease': {
        store.grantLease(output.ttlSeconds).then(
          (lease) => this.#told(() => session.leaseGranted(lease, this.#now())),
          (error: unknown) => this.#told(() => session.leaseNotGranted(this.#now()), error),
        )
        return
      }
      case 'keep alive': {
        const { lease } = output
        store.keepAlive(lease).then(
          (isThere) => {
            if (isThere) return
            this.#options.log('warn', 'the lease of this broker has run out; it registers anew')
            this.#told(() => session.leaseLost(lease, this.#now()))
          },
          (error: unknown) => this.#told(() => {}, error),
        )
        return
      }
      case 'revoke lease': {
        this.#revoke(output.lease)
        return
      }
      case 'transaction': {
        void this.transact(output.transaction).then((outcome) =>
          this.#told(() => session.settled(output.id, outcome, this.#now())),
        )
      }
    }
  }

  #carryOutForController(output: ReturnType<Controller['take']>[number]): void {
    const controller = this.#controller!
    switch (output.kind) {
      case 'transaction': {
        void this.transact(output.transaction).then((outcome) =>
          this.#told(() => controller.settled(output.id, outcome, this.#now())),
        )
        return
      }
      case 'revoke lease': {
        this.#revoke(output.lease)
        return
      }
      case 'reply': {
        this.#replies.get(output.requestId)?.(output.result)
        this.#replies.delete(output.requestId)
      }
    }
  }

  /** Goes on after an answer of the store. */
  #told(take: () => void, error?: unknown): void {
    if (this.#isClosed) return
    if (error !== undefined)
      this.#options.log('warn', `the metadata store: ${messageOf(error)}`, errorFields(error))
    take()
    this.#becomeController()
    this.#pump()
  }

  /** A lease that is not revoked runs out. */
  #revoke(lease: string): void {
    const revoked = this.#options.store
      .revokeLease(lease)
      .catch((error: unknown) => {
        if (!this.#isClosed)
          this.#options.log('warn', `could not revoke a lease: ${messageOf(error)}`, errorFields(error))
      })
      .finally(() => this.#revoking.delete(revoked))
    this.#revoking.add(revoked)
  }
}

function takenId(brokerId: number): string {
  return `another process is registered as broker ${brokerId}; give each broker an id of its own, or stop the other one`
}

function closedBefore(): VarveError {
  return new VarveError('VARVE_BROKER_CLOSED', 'the broker was closed before it was registered')
}
