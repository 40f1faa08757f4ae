import type { ReplicationErrorName } from '../error-name.js'
import { ReplicationError } from '../error.js'
import { noBroker, type PartitionState } from '../partition-state.js'
import type { ReplicaLog } from '../replica-log.js'
import { PartitionFollower } from './follower.js'
import { PartitionLeader, type BrokerLookup } from './leader.js'

/** `'waiting'`: neither, as there is no leader, or this broker may not lead yet, or is no replica any more. */
export type ReplicaRole = 'leader' | 'follower' | 'waiting'

/** Why a replica does not answer a client. */
export type ClientError = Extract<
  ReplicationErrorName,
  | 'FENCED_LEADER_EPOCH'
  | 'KAFKA_STORAGE_ERROR'
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'UNKNOWN_LEADER_EPOCH'
  | 'UNKNOWN_TOPIC_OR_PARTITION'
>

/** What a replica is made of. */
export interface PartitionReplicaOptions {
  /** The broker that it is on. */
  readonly brokerId: number
  /** This broker's epoch as it is now; -1 while it has none. */
  readonly brokerEpoch: () => number
  /** The log that it reads and appends to. */
  readonly log: ReplicaLog
  /** What the broker knows of the registrations of others. */
  readonly brokers: BrokerLookup
  /** `replica.lag.time.max.ms`. */
  readonly replicaLagTimeMaxMs: number
  /** As it was noted before a restart; by default the log's start. */
  readonly highWatermark?: number
}

/**
 * One broker's replica of a partition, through its roles.
 *
 * Whenever the role changes, whatever waits for the old one is answered NOT_LEADER_OR_FOLLOWER. Whoever becomes the leader
 * gives the log its leader epoch before anything is appended.
 */
export class PartitionReplica {
  readonly #options: PartitionReplicaOptions
  #state: PartitionState | null = null
  #leader: PartitionLeader | null = null
  #follower: PartitionFollower | null = null
  /** The role before the one that is waited for. */
  #last: PartitionLeader | PartitionFollower | null = null
  #logFailed = false

  constructor(options: PartitionReplicaOptions) {
    this.#options = options
  }

  /** The latest state that this replica has been told, `null` before the first. */
  get state(): PartitionState | null {
    return this.#leader?.state ?? this.#state
  }

  /** What the replica is at present. */
  get role(): ReplicaRole {
    if (this.#leader !== null) {
      return 'leader'
    }
    return this.#follower === null ? 'waiting' : 'follower'
  }

  /** The leader that it is; null when it is none. */
  get leader(): PartitionLeader | null {
    return this.#leader
  }

  /** The follower that it is; null when it is none. */
  get follower(): PartitionFollower | null {
    return this.#follower
  }

  /** Everything below is committed, as far as this replica knows: it takes that along from role to role. */
  get highWatermark(): number {
    const role = this.#leader ?? this.#follower ?? this.#last
    return role?.highWatermark ?? this.#options.highWatermark ?? this.#options.log.startOffset
  }

  /**
   * Why a client's request about this partition is not answered from here, in the order in which Kafka finds it; `null` when it is.
   *
   * @param request.currentLeaderEpoch the leader epoch that the client knows (KIP-320); -1 when it does not say
   * @param request.fromFollower whether a follower may answer, as it may a consumer's Fetch (KIP-392)
   */
  clientError(request: {
    readonly currentLeaderEpoch: number
    readonly fromFollower: boolean
  }): ClientError | null {
    const { currentLeaderEpoch, fromFollower } = request
    const { state } = this
    if (this.#logFailed) {
      return 'KAFKA_STORAGE_ERROR'
    }
    if (state === null) {
      return 'UNKNOWN_TOPIC_OR_PARTITION'
    }
    if (currentLeaderEpoch >= 0 && currentLeaderEpoch !== state.leaderEpoch) {
      return currentLeaderEpoch < state.leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH'
    }
    const serves = this.#leader !== null || (fromFollower && this.#follower !== null)
    return serves ? null : 'NOT_LEADER_OR_FOLLOWER'
  }

  /**
   * Takes a state as the store has it; an earlier one than it knows is ignored. States and the registrations that `brokers`
   * looks up have to come in the order of their revisions.
   *
   * @returns the role in which it is now; `null` when neither role nor leader epoch has changed
   * @throws ReplicationError `VARVE_LEADER_EPOCH_WENT_BACK`
   */
  stateChanged(state: PartitionState, now: number): ReplicaRole | null {
    const known = this.state
    if (known !== null && state.partitionEpoch <= known.partitionEpoch) {
      return null
    }
    if (known !== null && state.leaderEpoch < known.leaderEpoch) {
      throw new ReplicationError(
        'VARVE_LEADER_EPOCH_WENT_BACK',
        `leader epoch ${state.leaderEpoch} at revision ${state.partitionEpoch} is behind ${known.leaderEpoch} at ${known.partitionEpoch}`,
      )
    }
    this.#state = state
    return this.reconsider(now)
  }

  /**
   * To be called where the role may be another although the state is not: when this broker's registration has changed, and when
   * a follower's step has ended that this replica waited for.
   *
   * @returns as {@link stateChanged}
   */
  reconsider(now: number): ReplicaRole | null {
    const state = this.#state
    if (state === null) {
      return null
    }
    const role = this.#roleIn(state)
    if (role === 'leader' && this.#leader?.leaderEpoch === state.leaderEpoch) {
      this.#leader.stateChanged(state, now)
      return null
    }
    if (
      role === 'follower' &&
      this.#follower?.leaderEpoch === state.leaderEpoch &&
      this.#follower.leader === state.leader
    ) {
      return null
    }
    const before = this.role
    this.#last = this.#leader ?? this.#follower ?? this.#last
    this.#follower?.stop()
    this.#leader = null
    this.#follower = null
    // What it still does to the log belongs to an earlier epoch: it must neither be led over nor followed over.
    const isEnding = this.#last instanceof PartitionFollower && this.#last.isBusy
    if (role !== 'waiting' && !isEnding) {
      this.#begin(role, state, now)
    }
    return this.role === 'waiting' && before === 'waiting' ? null : this.role
  }

  #roleIn(state: PartitionState): ReplicaRole {
    const { brokerId } = this.#options
    if (this.#logFailed || state.leader === noBroker || !state.replicas.includes(brokerId)) {
      return 'waiting'
    }
    if (state.leader !== brokerId) {
      return 'follower'
    }
    const isLeading = this.#leader?.leaderEpoch === state.leaderEpoch
    return isLeading || this.#mayLead(state) ? 'leader' : 'waiting'
  }

  /**
   * Only in this life of the broker (KIP-903), and once the controller has noted it (KIP-841): in the epoch of a former one it
   * may have written what it has lost since. A state from before the registration was elected in a former one for certain.
   */
  #mayLead(state: PartitionState): boolean {
    const { brokerId, brokers, brokerEpoch } = this.#options
    const registration = brokers(brokerId)
    return (
      registration !== undefined &&
      !registration.fenced &&
      registration.brokerEpoch === brokerEpoch() &&
      state.partitionEpoch > registration.brokerEpoch
    )
  }

  #begin(role: 'leader' | 'follower', state: PartitionState, now: number): void {
    const options = { ...this.#options, state, highWatermark: this.highWatermark }
    if (role === 'leader') {
      this.#leader = new PartitionLeader({ ...options, now })
    } else {
      this.#follower = new PartitionFollower(options)
    }
  }

  /**
   * The log has failed: for as long as this replica lives it neither leads nor follows. The controller elects another leader once
   * the broker's registration names the replica among its `offlineReplicas` (KIP-112).
   *
   * @returns as {@link stateChanged}
   */
  logFailed(now: number): ReplicaRole | null {
    this.#logFailed = true
    return this.reconsider(now)
  }
}
