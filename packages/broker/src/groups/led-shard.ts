import { errors } from '@varve/protocol'
import { encodeBatch, type RecordInput, VarveError } from '@varve/records'
import { type BrokerLog, errorFields, messageOf } from '../broker-log.js'
import type { Clock } from '../clock.js'
import type { Partition } from '../partition.js'
import { storageFailureText } from '../storage-failure.js'
import type { Topic } from '../topic.js'
import type { Group } from './group.js'
import type { GroupEnvironment } from './group-environment.js'
import type { GroupOptions } from './group-options.js'
import { decodeRecord } from './group-records.js'
import { GroupShard } from './group-shard.js'
import { offsetsTopicCodecs } from './offsets-topic.js'
import { Refused } from './refused.js'

export interface LedShardOptions {
  readonly clock: Clock
  readonly log: BrokerLog
  readonly options: Required<GroupOptions>
  readonly randomId: GroupEnvironment['randomId']
  readonly tell: GroupEnvironment['tell']
}

/**
 * The groups of a partition of `__consumer_offsets` in one epoch in which this broker leads it: being loaded, served, not to
 * be understood, or ended. Another epoch begins with another one, from what the log says then.
 */
export class LedShard {
  readonly partition: Partition
  readonly leaderEpoch: number
  readonly #options: LedShardOptions
  readonly #shard: GroupShard
  #state: 'loading' | 'serving' | 'ended' | VarveError = 'loading'
  /** Topics that were deleted while it was loaded. */
  readonly #deletedMeanwhile: Topic[] = []
  /** Looks again at what loading waits for. */
  #look: () => void = () => {}

  /** @param former what was here in an earlier epoch, or null: the log may still be given what that has appended */
  constructor(partition: Partition, leaderEpoch: number, former: LedShard | null, options: LedShardOptions) {
    this.partition = partition
    this.leaderEpoch = leaderEpoch
    this.#options = options
    this.#shard = new GroupShard({
      clock: options.clock,
      options: options.options,
      randomId: options.randomId,
      tell: options.tell,
      append: (records) => this.#append(records),
    })
    // A partition that was created this moment has nothing to read, so its first group need not ask twice.
    if (former === null && partition.logEndOffset === 0) this.#state = 'serving'
    else void this.#load(former)
  }

  /**
   * The shard, for a command.
   *
   * @throws Refused while it cannot be served
   */
  get serving(): GroupShard {
    const state = this.#state
    if (state === 'serving') return this.#shard
    if (state === 'loading') throw new Refused(errors.COORDINATOR_LOAD_IN_PROGRESS)
    if (state === 'ended') throw new Refused(errors.NOT_COORDINATOR)
    throw new Refused(errors.COORDINATOR_NOT_AVAILABLE, state.message)
  }

  /** Its groups, if they can be served now. */
  groups(): Iterable<Group> {
    return this.#state === 'serving' ? this.#shard.groups() : []
  }

  get isEnded(): boolean {
    return this.#state === 'ended'
  }

  /** Why its groups cannot be served until something is done about it; null while nothing need be. */
  get problem(): string | null {
    const state = this.#state
    return state instanceof VarveError ? `${this.partition.name}: ${storageFailureText(state)}` : null
  }

  get completedRebalances(): number {
    return this.#shard.completedRebalances
  }

  /** Resolves when it is known what has become of all that was appended by now. */
  settled(): Promise<void> {
    return this.#shard.settled()
  }

  /** Forgets what groups have committed for a topic that is no more. */
  async topicDeleted(topic: Topic): Promise<void> {
    if (this.#state === 'loading') this.#deletedMeanwhile.push(topic)
    if (this.#state !== 'serving') return
    await this.#shard.topicDeleted(topic).catch((error: unknown) => {
      if (this.isEnded) return
      this.#options.log(
        'error',
        `what groups had committed for the deleted topic ${topic.name} is still there: ${messageOf(error)}`,
        { topic: topic.name, ...errorFields(error) },
      )
    })
  }

  /** Forgets what has been kept for its time. */
  expire(): void {
    if (this.#state !== 'serving') return
    this.#shard.expire().catch((error: unknown) => {
      if (!this.isEnded)
        this.#options.log('error', `could not expire offsets: ${messageOf(error)}`, errorFields(error))
    })
  }

  /** Is led no more: whoever waits is told, no timer is left, and nothing is appended from now on. */
  end(): void {
    this.#state = 'ended'
    this.#shard.close()
    this.#look()
  }

  async #append(records: readonly RecordInput[]): Promise<void> {
    const compression = offsetsTopicCodecs[this.#options.options.offsetsTopicCompressionCodec]!
    try {
      await this.partition.append(encodeBatch(records, { compression }), true)
    } catch (error) {
      const code = VarveError.is(error) ? error.code : null
      // They are committed all the same, and the next leader will read them: what the log says holds here, too.
      if (code === 'VARVE_NOT_ENOUGH_REPLICAS_AFTER_APPEND') return
      // Only the next leader knows whether it has them, so nobody may be answered from here any more.
      if (code === 'VARVE_NOT_LEADER') this.end()
      throw error
    }
  }

  async #load(former: LedShard | null): Promise<void> {
    const { clock, log } = this.#options
    const { partition } = this
    const begun = clock.now()
    try {
      await former?.settled()
      await this.#committed(partition.logEndOffset)
      const count = await this.#replay()
      if (this.isEnded) return
      this.#state = 'serving'
      this.#shard.resume()
      for (const topic of this.#deletedMeanwhile.splice(0)) void this.topicDeleted(topic)
      log('info', `read ${count} records of groups from ${partition.name} in ${clock.now() - begun} ms`)
    } catch (error) {
      if (this.isEnded) return
      const reason = `its groups cannot be served, because it cannot be read: ${messageOf(error)}`
      this.#state = new VarveError('VARVE_PARTITION_UNREADABLE', reason, { cause: error })
      log('error', `${partition.name}: ${reason}`, {
        topic: partition.topic,
        partition: partition.index,
        ...errorFields(error),
      })
    }
  }

  /**
   * Resolves when the high watermark has reached an offset, or the shard has ended. What a new leader's log has beyond it is
   * about to be committed, but the leader may be gone before: an offset that was told from there could go back.
   */
  #committed(offset: number): Promise<void> {
    const { partition } = this
    return new Promise((resolve, reject) => {
      const settle = (failure: VarveError | null): void => {
        partition.unlisten(this.#look)
        this.#look = () => {}
        if (failure === null) resolve()
        else reject(failure)
      }
      this.#look = () => {
        if (this.isEnded || partition.highWatermark >= offset) settle(null)
        else if (partition.failure !== null) settle(partition.failure)
      }
      partition.listen(this.#look)
      this.#look()
    })
  }

  /** @returns how many records there were */
  async #replay(): Promise<number> {
    let count = 0
    for await (const batch of this.partition.readBatches()) {
      if (this.isEnded) break
      if (!batch.verifyCrc()) {
        throw new VarveError('VARVE_LOG_CORRUPT', `the batch at offset ${batch.baseOffset} has a wrong CRC`)
      }
      if (batch.isControl) continue
      for (const { key, value } of batch.records()) {
        const record = key === null ? null : decodeRecord(key, value)
        if (record !== null) this.#shard.replay(record)
        count++
      }
    }
    return count
  }
}
