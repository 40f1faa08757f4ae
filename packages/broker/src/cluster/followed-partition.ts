import type { Log } from '@varve/log'
import { errors, type FetchResponse } from '@varve/protocol'
import { batchesIn } from '@varve/records'
import type { FetchedRecords, FollowerFetch, FollowerStep, PartitionFollower } from '@varve/replication'
import { type BrokerLog, errorFields, type LogFields, messageOf } from '../broker-log.js'
import type { Clock, Timer } from '../clock.js'
import { kafkaErrorNames } from '../kafka-error.js'
import type { Partition } from '../partition.js'
import type { ReplicationQuota } from '../replication-quota.js'

/** What a follower asks of its log beside what a partition does. */
export type FollowerLog = Pick<
  Log,
  | 'startOffset'
  | 'endOffset'
  | 'durableOffset'
  | 'appendReplicated'
  | 'truncateTo'
  | 'truncateFullyAndStartAt'
  | 'deleteBefore'
  | 'flush'
  | 'state'
>

/** What a leader answers of a partition. */
export type PartitionAnswer = FetchResponse['responses'][number]['partitions'][number]

/** After an answer that says to ask again, and after the first step that failed; each further one in a row takes twice as long. */
const firstBackoffMs = 100
const longestBackoffMs = 5000
/** After this time it is looked again whether a throttled replica may go on. */
const longestThrottledMs = 1000

export interface FollowedPartitionOptions {
  readonly partition: Partition
  readonly follower: PartitionFollower
  readonly log: FollowerLog
  readonly brokerId: number
  /** Of what is fetched. */
  readonly quota: ReplicationQuota
  readonly clock: Clock
  readonly brokerLog: BrokerLog
  /** There may be something to ask the leader again. */
  readonly onReady: (followed: FollowedPartition) => void
}

/** A partition that is followed here, in one leader epoch: carries out what its follower wants of its log. */
export class FollowedPartition {
  readonly topicId: string
  readonly index: number
  readonly #options: FollowedPartitionOptions
  /** Its Fetches that no answer has settled, with the number of the request in which each was sent. */
  readonly #sent: { readonly request: number; readonly fetch: FollowerFetch }[] = []
  #timer: Timer = undefined
  #isBackingOff = false
  #isFlushing = false
  #isDeleting = false
  #failures = 0

  constructor(options: FollowedPartitionOptions) {
    this.#options = options
    const { topicId, partition } = options.partition.state
    this.topicId = topicId
    this.index = partition
    this.#flush()
  }

  /** Whether it is not to be asked for, and not to be answered: a step is under way, the leader could not answer, or it is throttled. */
  get isResting(): boolean {
    return this.#isBackingOff || this.#isFlushing || this.#options.follower.isBusy
  }

  /** What to ask for in a request; null when there is nothing to say. */
  fetch(request: number): FollowerFetch | null {
    if (this.isResting) return null
    const { brokerId, follower, partition, quota } = this.#options
    const waitMs = quota.waitMs(partition, brokerId)
    if (waitMs > 0) {
      // The rate may be another one by then.
      this.#backOff(Math.min(waitMs, longestThrottledMs))
      return null
    }
    const fetch = follower.fetch()
    if (fetch !== null) this.#sent.push({ request, fetch })
    return fetch
  }

  /** Takes back the Fetches that were sent before a request: nobody answers them. */
  lostBefore(request: number): void {
    while (this.#sent.length > 0 && this.#sent[0]!.request < request)
      this.#options.follower.lost(this.#sent.shift()!.fetch.fetchId)
  }

  /**
   * Takes what the answer to a request says of this partition.
   *
   * @returns the append of its records, which are in use until then; null where there is none
   */
  answered(request: number, answer: PartitionAnswer): Promise<unknown> | null {
    const { follower, partition } = this.#options
    const sent = this.#sent.findLast((each) => each.request <= request)
    if (sent === undefined) return null
    this.#sent.splice(this.#sent.indexOf(sent), 1)
    const { fetch } = sent
    let records: FetchedRecords
    try {
      records = answerOf(answer, fetch)
    } catch (error) {
      follower.lost(fetch.fetchId)
      this.#failed(error)
      return null
    }
    const step = follower.answered(fetch.fetchId, records)
    const appending = this.#carryOut(step, answer.records as Buffer | null)
    partition.followed()
    this.#deleteBefore()
    return appending
  }

  /** Ends the wait before it is asked for again. Steps that are under way go on, and its follower is told how they end. */
  stop(): void {
    this.#options.clock.clearTimeout(this.#timer)
  }

  #carryOut(step: FollowerStep, records: Buffer | null): Promise<unknown> | null {
    const { follower, log, partition, quota } = this.#options
    switch (step.kind) {
      case 'append': {
        const { byteLength } = records!
        quota.record(partition, byteLength)
        const appending = log.appendReplicated(records!)
        this.#untilDone(appending, () => {
          partition.traffic.replicated(byteLength)
          follower.appended()
        })
        return appending
      }
      case 'truncate': {
        this.#tell('info', `truncates its log to offset ${step.to}, where it parts from the leader's`)
        this.#untilDone(log.truncateTo(step.to), () => follower.truncated())
        return null
      }
      case 'start over': {
        this.#tell('warn', `starts over at offset ${step.at}, since the leader has nothing of its log`)
        this.#untilDone(log.truncateFullyAndStartAt(step.at), () => follower.truncated())
        return null
      }
      case 'retry': {
        this.#backOff(firstBackoffMs)
        return null
      }
      case 'nothing': {
        return null
      }
    }
  }

  #untilDone(work: Promise<unknown>, tellFollower: () => void): void {
    const { follower, partition } = this.#options
    const end = (): void => {
      // Another role waits until this one's last step has ended.
      if (partition.follower !== follower) partition.reconsider()
      partition.followed()
      this.#deleteBefore()
      this.#options.onReady(this)
    }
    work.then(
      () => {
        if (this.#failures > 0) this.#tell('info', 'follows again')
        this.#failures = 0
        tellFollower()
        end()
      },
      (error: unknown) => {
        follower.stepFailed()
        partition.stepFailed(error)
        this.#failed(error)
        end()
      },
    )
  }

  #failed(error: unknown): void {
    if (this.#failures++ === 0)
      this.#tell('error', `could not follow: ${messageOf(error)}; it is tried again`, errorFields(error))
    this.#backOff(Math.min(firstBackoffMs * 2 ** (this.#failures - 1), longestBackoffMs))
  }

  #backOff(ms: number): void {
    const { clock, onReady } = this.#options
    this.#isBackingOff = true
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => {
      this.#isBackingOff = false
      onReady(this)
    }, ms)
  }

  /** Where it fetches from the leader takes for durable, and so what it led with before has to be first. */
  #flush(): void {
    const { log, onReady } = this.#options
    if (log.durableOffset >= log.endOffset || log.state !== 'open') return
    this.#isFlushing = true
    log.flush().then(
      () => {
        this.#isFlushing = false
        onReady(this)
      },
      // The log has failed, and with it the role.
      () => {},
    )
  }

  /** What the leader has deleted goes here, too. */
  #deleteBefore(): void {
    const { follower, log, onReady, partition } = this.#options
    const offset = Math.min(follower.logStartOffset, log.durableOffset)
    if (this.#isDeleting || follower.isBusy || log.state !== 'open' || offset <= log.startOffset) return
    this.#isDeleting = true
    log.deleteBefore(offset).then(
      () => {
        this.#isDeleting = false
        // The leader is to know where the log starts now.
        onReady(this)
      },
      (error: unknown) => {
        this.#isDeleting = false
        partition.stepFailed(error)
        const text = `could not delete what its leader has deleted: ${messageOf(error)}`
        this.#tell('warn', text, errorFields(error))
      },
    )
  }

  #tell(level: 'info' | 'warn' | 'error', text: string, fields: LogFields = {}): void {
    const { name, topic, index } = this.#options.partition
    this.#options.brokerLog(level, `${name}: ${text}`, { topic, partition: index, ...fields })
  }
}

/**
 * An answer as the rules take it. A leader answers in the epoch that was asked for, or says that it is in another one.
 *
 * @throws VarveError for records that are none
 */
function answerOf(answer: PartitionAnswer, { currentLeaderEpoch }: FollowerFetch): FetchedRecords {
  const { errorCode, highWatermark, logStartOffset, divergingEpoch } = answer
  const records = answer.records as Buffer | null
  const isOfAnotherEpoch =
    errorCode === errors.FENCED_LEADER_EPOCH.code || errorCode === errors.UNKNOWN_LEADER_EPOCH.code
  return {
    error: errorCode === 0 ? null : (kafkaErrorNames.get(errorCode) as FetchedRecords['error']),
    leaderEpoch: isOfAnotherEpoch ? -1 : currentLeaderEpoch,
    highWatermark,
    logStartOffset,
    diverging: divergingEpoch.epoch < 0 ? null : divergingEpoch,
    records: records === null || records.length === 0 ? null : rangeOf(records),
  }
}

function rangeOf(records: Buffer): FetchedRecords['records'] {
  let baseOffset = -1
  let endOffset = -1
  for (const batch of batchesIn(records)) {
    if (baseOffset < 0) baseOffset = batch.baseOffset
    endOffset = batch.nextOffset
  }
  return baseOffset < 0 ? null : { baseOffset, endOffset }
}
