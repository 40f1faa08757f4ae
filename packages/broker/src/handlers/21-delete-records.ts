/**
 * DeleteRecords (21), versions 0 to 2. -1 stands for the high watermark, beyond which nothing is deleted. When the answer comes,
 * the records are gone from every live replica (KIP-107); where that takes longer than the timeout, which begins when they are gone
 * here, it is REQUEST_TIMED_OUT, and followers go on deleting. Records of internal topics and of topics that are compacted only are not
 * deleted, as in Kafka.
 */
import { type DeleteRecordsRequest, type DeleteRecordsResponseInput, errors } from '@varve/protocol'
import type { Cancellation } from '../cancellation.js'
import { ChangeSignal } from '../change-signal.js'
import type { Clock } from '../clock.js'
import { notLeader } from '../partition-errors.js'
import type { Partition } from '../partition.js'
import { Refusal, refusalOf } from '../refusal.js'
import type { RequestContext } from '../request-context.js'
import { isInternalTopic } from '../topic-name.js'
import type { Topic } from '../topic.js'

const highWatermark = -1

export async function handleDeleteRecords(
  request: DeleteRecordsRequest,
  { broker, gone }: RequestContext,
): Promise<DeleteRecordsResponseInput> {
  const within = { clock: broker.connectionClock, ms: request.timeoutMs, ends: [gone, broker.closing] }
  const topics = request.topics.map(async ({ name, partitions }) => ({
    name,
    partitions: await Promise.all(
      partitions.map(async ({ partitionIndex, offset }) => {
        try {
          const partition = find(name, broker.topics.get(name), partitionIndex)
          const start = await deleteRecords(partition, offset)
          return { partitionIndex, ...(await followed(partition, start, within)) }
        } catch (error) {
          return { partitionIndex, lowWatermark: -1, errorCode: refusalOf(error).error.code }
        }
      }),
    ),
  }))
  return { throttleTimeMs: 0, topics: await Promise.all(topics) }
}

/** @throws Refusal */
function find(name: string, topic: Topic | undefined, index: number): Partition {
  if (isInternalTopic(name)) {
    throw new Refusal(errors.INVALID_TOPIC_EXCEPTION, `Cannot delete records of internal topic ${name}`)
  }
  const partition = topic?.partitions[index]
  if (topic === undefined || partition === undefined) {
    throw new Refusal(errors.UNKNOWN_TOPIC_OR_PARTITION, `There is no partition ${name}-${index}`)
  }
  if (topic.settings.compacts && !topic.settings.deletes) {
    throw new Refusal(
      errors.POLICY_VIOLATION,
      `Records of partition ${partition.name} can not be deleted due to the configured policy`,
    )
  }
  return partition
}

/** Resolves with the offset at which the log begins then. */
async function deleteRecords(partition: Partition, offset: number): Promise<number> {
  if (partition.failure !== null) throw partition.failure
  if (partition.leader === null) throw notLeader(partition.name)
  const before = offset === highWatermark ? partition.highWatermark : offset
  if (before < 0 || before > partition.highWatermark) {
    throw new Refusal(errors.OFFSET_OUT_OF_RANGE, `${partition.name} ends at ${partition.highWatermark}`)
  }
  // An offset that is gone already deletes nothing.
  if (before <= partition.logStartOffset) return partition.logStartOffset
  return await partition.deleteBefore(before)
}

/** Waits until the live followers have deleted as much. */
async function followed(
  partition: Partition,
  start: number,
  { clock, ms, ends }: { clock: Clock; ms: number; ends: readonly Cancellation[] },
): Promise<{ lowWatermark: number; errorCode: number }> {
  const { leader } = partition
  const signal = new ChangeSignal(clock, Math.max(0, ms), ends)
  try {
    signal.listenTo(partition)
    for (;;) {
      if (leader === null || partition.leader !== leader) throw partition.failure ?? notLeader(partition.name)
      const { lowWatermark } = leader
      if (lowWatermark >= start) return { lowWatermark, errorCode: 0 }
      if (signal.expired) return { lowWatermark, errorCode: errors.REQUEST_TIMED_OUT.code }
      await signal.next()
    }
  } finally {
    signal.stop()
  }
}
