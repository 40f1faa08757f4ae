/**
 * OffsetCommit (8), versions 2 to 10: by members of a classic group, and with generation −1 by anybody while the group has
 * no members. A topic or partition that does not exist is refused by itself, the others are committed.
 */
import { errors, type OffsetCommitRequest, type OffsetCommitResponseInput } from '@varve/protocol'
import type { OffsetToCommit } from '../groups/offset-commands.js'
import { unlessRefused } from '../groups/refused.js'
import type { KafkaError } from '../kafka-error.js'
import type { RequestContext } from '../request-context.js'

const unknownGroupSince = 9
const topicIdsSince = 10

interface PartitionResponse {
  readonly partitionIndex: number
  errorCode: number
}

export async function handleOffsetCommit(
  request: OffsetCommitRequest,
  { apiVersion, broker }: RequestContext,
): Promise<OffsetCommitResponseInput> {
  const { groupId, memberId, groupInstanceId, retentionTimeMs } = request
  const offsets: OffsetToCommit[] = []
  const committed: PartitionResponse[] = []
  const topics = request.topics.map(({ name, topicId, partitions }) => {
    const topic = apiVersion >= topicIdsSince ? broker.topics.getById(topicId) : broker.topics.get(name)
    const unknownTopic =
      apiVersion >= topicIdsSince ? errors.UNKNOWN_TOPIC_ID : errors.UNKNOWN_TOPIC_OR_PARTITION
    const responses = partitions.map((asked): PartitionResponse => {
      const { partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata } = asked
      if (topic === undefined) return { partitionIndex, errorCode: unknownTopic.code }
      const response = { partitionIndex, errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code }
      if (topic.partitions[partitionIndex] === undefined) return response
      committed.push(response)
      offsets.push({
        topic: topic.name,
        topicId: topic.id,
        partition: partitionIndex,
        offset: committedOffset,
        leaderEpoch: committedLeaderEpoch,
        metadata: committedMetadata ?? '',
      })
      return response
    })
    return { name, topicId, partitions: responses }
  })
  const results = await unlessRefused<readonly KafkaError[]>(
    async () => {
      const commit = {
        memberId,
        groupInstanceId,
        generationId: request.generationIdOrMemberEpoch,
        retentionMs: retentionTimeMs < 0 ? null : retentionTimeMs,
        offsets,
      }
      const unknownGroup =
        apiVersion >= unknownGroupSince ? errors.GROUP_ID_NOT_FOUND : errors.ILLEGAL_GENERATION
      return (await broker.groups.shardFor(groupId)).commit(groupId, commit, unknownGroup)
    },
    (error) => offsets.map(() => error),
  )
  committed.forEach((response, index) => {
    response.errorCode = results[index]!.code
  })
  return { topics }
}
