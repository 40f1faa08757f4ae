import type { BrokerRegistration } from '../broker-registration.js'
import type { ClusterImage } from '../cluster-image.js'
import { ReplicationError } from '../error.js'
import {
  brokerKey,
  controllerKey,
  encodeBrokerRegistration,
  encodeControllerRegistration,
} from '../metadata-keys.js'
import type { MetadataOutcome, MetadataTransaction } from '../metadata-store.js'
import { Waits } from './waits.js'

/** What a {@link BrokerSession} is made with. */
export interface BrokerSessionOptions {
  /** Which broker it is, from 0 on. */
  readonly brokerId: number
  /** Of this process alone, such as a random UUID. */
  readonly incarnationId: string
  /** Of its data. Who has the same id and the same data is a former life of this broker. */
  readonly directoryId: string
  /** Null for none. */
  readonly rack: string | null
  /** `host:port` by listener. */
  readonly endpoints: Readonly<Record<string, string>>
  /** See `mayHaveLostRecords`. True as well for data that begins anew under an id that has been in use. */
  readonly mayHaveLostRecords: boolean
  /** What the store holds; each change is applied to it before {@link BrokerSession.imageChanged} is called. */
  readonly image: ClusterImage
  /** How long the broker counts as alive without a word, in whole seconds. Default: 9, as Kafka's `broker.session.timeout.ms`. */
  readonly leaseTtlSeconds?: number
  /** How long to wait before what failed is tried again. Default: 100. */
  readonly retryBackoffMs?: number
  /** In milliseconds, of any clock. */
  readonly now: number
}

/** What a {@link BrokerSession} wants done. */
export type BrokerSessionOutput =
  /** Answered by {@link BrokerSession.leaseGranted} or {@link BrokerSession.leaseNotGranted}. */
  | { readonly kind: 'grant lease'; readonly ttlSeconds: number }
  /** Answered by {@link BrokerSession.leaseLost} when there is no such lease any more, otherwise not at all. */
  | { readonly kind: 'keep alive'; readonly lease: string }
  /** Not answered: what is not revoked expires. */
  | { readonly kind: 'revoke lease'; readonly lease: string }
  /** Answered by {@link BrokerSession.settled}, always. */
  | { readonly kind: 'transaction'; readonly id: number; readonly transaction: MetadataTransaction }

/**
 * `'starting'`: not registered, or no longer. `'fenced'`: registered, and the controller has not yet taken note of it.
 * `'running'`: it may lead and be in sync. `'shutting down'`: it hands over what it leads. `'stopped'`: it is over.
 */
export type BrokerSessionState = 'starting' | 'fenced' | 'running' | 'shutting down' | 'stopped'

/** What a transaction of a session is about; of each there is one under way at a time. */
type Concern = 'registration' | 'controller'

/**
 * One process's life as a broker of the cluster (Kafka's BrokerLifecycleManager): it holds a lease, registers on it, registers
 * anew when the lease is lost, stands for controller, and leaves in order. Whoever drives it calls a method for each event, then
 * {@link take}s what is to be done, and calls {@link tick} at {@link nextTick}.
 *
 * Everything follows from the image and the lease, so that neither a lost answer nor one that comes twice can harm: a put that may
 * have been applied is put again, compared with what was there before, and the image tells which one it was.
 */
export class BrokerSession {
  readonly #options: BrokerSessionOptions
  readonly #image: ClusterImage
  readonly #leaseTtlSeconds: number
  readonly #retryBackoffMs: number
  readonly #waits: Waits<'lease' | 'keep alive' | 'shutdown' | Concern>
  #outputs: BrokerSessionOutput[] = []
  #lease: string | null = null
  #isLeaseAskedFor = false
  /** The lease on which the image has shown it registered. */
  #registeredOn: string | null = null
  #hasRegistered = false
  #brokerEpoch = -1
  #mayHaveLostRecords: boolean
  #hasBeenUnfenced = false
  #offlineReplicas: readonly string[] = []
  #lastTransaction = 0
  readonly #underWay = new Map<number, Concern>()
  /** The image must have come as far before the next transaction is made from it. */
  readonly #putAt: Record<Concern, number> = { registration: 0, controller: 0 }
  #refusal: 'DUPLICATE_BROKER_REGISTRATION' | null = null
  #isShuttingDown = false
  #isStopped = false

  /** @throws ReplicationError `VARVE_INVALID_OPTION` for a lease of less than a second or a part of one */
  constructor(options: BrokerSessionOptions) {
    const { leaseTtlSeconds = 9, retryBackoffMs = 100 } = options
    if (!Number.isSafeInteger(leaseTtlSeconds) || leaseTtlSeconds < 1) {
      throw new ReplicationError(
        'VARVE_INVALID_OPTION',
        `leaseTtlSeconds is ${leaseTtlSeconds}: a lease has whole seconds, and at least one`,
      )
    }
    this.#options = options
    this.#image = options.image
    this.#leaseTtlSeconds = leaseTtlSeconds
    this.#retryBackoffMs = retryBackoffMs
    this.#mayHaveLostRecords = options.mayHaveLostRecords
    this.#waits = new Waits(options.now)
    this.#advance()
  }

  /** How far the broker is between its first lease and its end. */
  get state(): BrokerSessionState {
    if (this.#isStopped) return 'stopped'
    const own = this.#registration
    if (own === undefined) return 'starting'
    if (this.#isShuttingDown) return 'shutting down'
    return own.fenced ? 'fenced' : 'running'
  }

  /**
   * Why it is not registered, as Kafka calls it: a broker with its id and other data is, or, once it has stopped, a later process
   * with its data. It waits until the other one vanishes. Null: nothing stands against it.
   */
  get refusal(): 'DUPLICATE_BROKER_REGISTRATION' | null {
    return this.#refusal
  }

  /** Of its latest registration; −1 before the first. Each registration has another one (KIP-903). */
  get brokerEpoch(): number {
    return this.#brokerEpoch
  }

  /** The lease that it holds, as far as it knows. */
  get lease(): string | null {
    return this.#lease
  }

  /** The revision at which it became the controller; null while it is not. */
  get controllerRevision(): number | null {
    const { controller } = this.#image
    return controller !== null && controller.lease === this.#lease ? controller.revision : null
  }

  /**
   * The controller has taken note of a registration of this process: what it may have lost has had its effect. A broker must not
   * forget before that it may have lost records, not even over a restart.
   */
  get hasBeenUnfenced(): boolean {
    return this.#hasBeenUnfenced
  }

  /** When to call {@link tick} at the latest; null: no need to. */
  get nextTick(): number | null {
    return this.#isStopped ? null : this.#waits.next
  }

  /** What is to be done now, each thing once. */
  take(): BrokerSessionOutput[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  /** The image has changed, or has been read anew. */
  imageChanged(now: number): void {
    this.#waits.turn(now)
    this.#advance()
  }

  /** The store has granted a lease. One too many, because the answer to an earlier request came late, is given back. */
  leaseGranted(lease: string, now: number): void {
    if (lease === this.#lease) return
    if (this.#isStopped || this.#lease !== null) {
      this.#outputs.push({ kind: 'revoke lease', lease })
      return
    }
    this.#waits.turn(now)
    this.#lease = lease
    this.#isLeaseAskedFor = false
    this.#waits.set('keep alive', this.#keepAliveIntervalMs)
    this.#advance()
  }

  /** The store has granted none, or it is not known whether it has. */
  leaseNotGranted(now: number): void {
    this.#waits.turn(now)
    this.#isLeaseAskedFor = false
    this.#waits.set('lease', this.#retryBackoffMs)
    this.#advance()
  }

  /** The store knows this lease no more. */
  leaseLost(lease: string, now: number): void {
    this.#waits.turn(now)
    if (lease === this.#lease) this.#lease = null
    this.#advance()
  }

  /** A transaction has ended. A second outcome of one is ignored. */
  settled(id: number, outcome: MetadataOutcome, now: number): void {
    const concern = this.#underWay.get(id)
    if (concern === undefined) return
    this.#waits.turn(now)
    this.#underWay.delete(id)
    if (outcome.kind === 'succeeded') {
      this.#putAt[concern] = outcome.revision
      this.#hasRegistered ||= concern === 'registration'
    } else {
      this.#waits.set(concern, this.#retryBackoffMs)
    }
    this.#advance()
  }

  /** The replicas, as `topicId:partition`, whose logs have failed: all of them, each time. */
  setOfflineReplicas(replicas: readonly string[], now: number): void {
    this.#waits.turn(now)
    this.#offlineReplicas = replicas
    this.#advance()
  }

  /**
   * Leaves in order (KIP-841): says so in its registration, and gives its lease back once it leads nothing that another one could
   * lead, or has waited for long enough. A broker that is not registered stops at once.
   *
   * @param timeoutMs how long to wait for the controller
   */
  shutDown(timeoutMs: number, now: number): void {
    this.#waits.turn(now)
    if (!this.#isShuttingDown) this.#waits.set('shutdown', timeoutMs)
    this.#isShuttingDown = true
    this.#advance()
  }

  /** Time has passed. */
  tick(now: number): void {
    this.#waits.turn(now)
    this.#advance()
  }

  get #keepAliveIntervalMs(): number {
    return (this.#leaseTtlSeconds * 1000) / 3
  }

  /** Its registration on the lease that it holds. */
  get #registration(): BrokerRegistration | undefined {
    const registration = this.#image.brokers.get(this.#options.brokerId)
    return registration?.lease === this.#lease ? registration : undefined
  }

  #advance(): void {
    if (this.#isStopped) return
    this.#takeNote()
    if (this.#isShuttingDown && this.#mayStop()) return this.#stop()
    this.#holdLease()
    if (this.#lease === null) return
    this.#register(this.#lease)
    this.#standForController()
  }

  #takeNote(): void {
    const own = this.#registration
    if (own !== undefined) {
      this.#registeredOn = own.lease
      this.#hasRegistered = true
      this.#brokerEpoch = own.brokerEpoch
      if (!own.fenced) {
        this.#hasBeenUnfenced = true
        this.#mayHaveLostRecords = false
      }
    } else if (this.#registeredOn === this.#lease && !this.#image.brokers.has(this.#options.brokerId)) {
      // A registration vanishes with its lease.
      this.#lease = null
    }
  }

  #holdLease(): void {
    if (this.#lease === null) {
      if (this.#isLeaseAskedFor || this.#waits.has('lease')) return
      this.#isLeaseAskedFor = true
      this.#outputs.push({ kind: 'grant lease', ttlSeconds: this.#leaseTtlSeconds })
    } else if (!this.#waits.has('keep alive')) {
      this.#waits.set('keep alive', this.#keepAliveIntervalMs)
      this.#outputs.push({ kind: 'keep alive', lease: this.#lease })
    }
  }

  #register(lease: string): void {
    if (!this.#mayPut('registration')) return
    const { brokerId, incarnationId, directoryId } = this.#options
    const there = this.#image.brokers.get(brokerId)
    const own = this.#registration
    this.#refusal = null
    if (own !== undefined) {
      const isTold =
        own.shuttingDown === this.#isShuttingDown &&
        own.offlineReplicas.join() === this.#offlineReplicas.join()
      if (!isTold) this.#putRegistration(own, own.revision, lease)
    } else if (there === undefined) {
      this.#putRegistration(null, 0, lease)
    } else if (there.incarnationId === incarnationId) {
      this.#putRegistration(null, there.revision, lease)
    } else if (there.directoryId !== directoryId) {
      this.#refusal = 'DUPLICATE_BROKER_REGISTRATION'
    } else if (!this.#hasRegistered) {
      // What a former life may have lost and nobody has noted is lost all the same.
      this.#mayHaveLostRecords ||= there.fenced && there.mayHaveLostRecords
      this.#putRegistration(null, there.revision, lease)
    } else {
      // To take it back would go on for ever.
      this.#refusal = 'DUPLICATE_BROKER_REGISTRATION'
      this.#stop()
    }
  }

  /** @param own the registration that is changed; null for a new one, which gets an epoch of its own */
  #putRegistration(own: BrokerRegistration | null, revision: number, lease: string): void {
    const { brokerId, incarnationId, directoryId, rack, endpoints } = this.#options
    const value = encodeBrokerRegistration({
      incarnationId,
      directoryId,
      rack,
      endpoints,
      brokerEpoch: own?.brokerEpoch ?? null,
      mayHaveLostRecords: own?.mayHaveLostRecords ?? this.#mayHaveLostRecords,
      fenced: own?.fenced ?? true,
      shuttingDown: this.#isShuttingDown,
      offlineReplicas: this.#offlineReplicas,
    })
    this.#put('registration', brokerKey(brokerId), revision, value, lease)
  }

  #standForController(): void {
    const own = this.#registration
    if (own === undefined || !this.#mayPut('controller')) return
    const { brokerId } = this.#options
    const { controller } = this.#image
    // One of a former life, of which nothing is left but its lease, would have to expire first.
    const isVacant =
      controller === null || (controller.brokerId === brokerId && this.controllerRevision === null)
    if (!isVacant || this.#isShuttingDown) return
    const value = encodeControllerRegistration({ brokerId })
    this.#put('controller', controllerKey, controller?.revision ?? 0, value, own.lease)
  }

  #mayPut(concern: Concern): boolean {
    const isUnderWay = [...this.#underWay.values()].includes(concern)
    return !isUnderWay && !this.#waits.has(concern) && this.#image.revision >= this.#putAt[concern]
  }

  #put(concern: Concern, key: string, revision: number, value: string, lease: string): void {
    const id = ++this.#lastTransaction
    this.#underWay.set(id, concern)
    const transaction = { compares: [{ key, revision }], puts: [{ key, value, lease }] }
    this.#outputs.push({ kind: 'transaction', id, transaction })
  }

  #mayStop(): boolean {
    const own = this.#registration
    if (own === undefined || !this.#waits.has('shutdown')) return true
    return own.shuttingDown && !this.#leadsWhatAnotherCould()
  }

  #leadsWhatAnotherCould(): boolean {
    const { brokerId } = this.#options
    // This one is shutting down by then.
    const couldLead = (id: number): boolean => {
      const other = this.#image.brokers.get(id)
      return other !== undefined && !other.fenced && !other.shuttingDown
    }
    return [...this.#image.partitionsOfBroker(brokerId)].some(
      ({ leader, isr }) => leader === brokerId && isr.some(couldLead),
    )
  }

  #stop(): void {
    this.#isStopped = true
    if (this.#lease !== null) this.#outputs.push({ kind: 'revoke lease', lease: this.#lease })
    this.#lease = null
  }
}
