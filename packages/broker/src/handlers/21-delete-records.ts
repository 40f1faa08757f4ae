/**
 * DeleteRecords (21), versions 0 to 2. -1 stands for the high watermark, beyond which nothing is deleted. The records are
 * gone when the answer comes, and the timeout is ignored. Records of internal topics and of topics that are compacted only
 * are not deleted, as in Kafka.
 */
import { type DeleteRecordsRequest, type DeleteRecordsResponseInput, errors } from '@varve/protocol'
import { Refusal, refusalOf } from '../refusal.js'
import type { RequestContext } from '../request-context.js'
import { isInternalTopic } from '../topic-name.js'
import type { Topic } from '../topic.js'

const highWatermark = -1

export async function handleDeleteRecords(
  request: DeleteRecordsRequest,
  { broker }: RequestContext,
): Promise<DeleteRecordsResponseInput> {
  const topics = request.topics.map(async ({ name, partitions }) => ({
    name,
    partitions: await Promise.all(
      partitions.map(async ({ partitionIndex, offset }) => {
        try {
          const lowWatermark = await deleteRecords(name, broker.topics.get(name), partitionIndex, offset)
          return { partitionIndex, lowWatermark, errorCode: 0 }
        } catch (error) {
          return { partitionIndex, lowWatermark: -1, errorCode: refusalOf(error).error.code }
        }
      }),
    ),
  }))
  return { throttleTimeMs: 0, topics: await Promise.all(topics) }
}

/** Resolves with the offset at which the log begins then. */
async function deleteRecords(
  name: string,
  topic: Topic | undefined,
  index: number,
  offset: number,
): Promise<number> {
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
  if (partition.failure !== null) throw partition.failure
  const before = offset === highWatermark ? partition.highWatermark : offset
  if (before < 0 || before > partition.highWatermark) {
    throw new Refusal(errors.OFFSET_OUT_OF_RANGE, `${partition.name} ends at ${partition.highWatermark}`)
  }
  // An offset that is gone already deletes nothing.
  if (before <= partition.logStartOffset) return partition.logStartOffset
  return await partition.deleteBefore(before)
}
