/**
 * OffsetDelete (47), version 0. Offsets of a topic that a member is subscribed to stay (GROUP_SUBSCRIBED_TO_TOPIC), as do
 * all of a group with members whose subscriptions are not known (NON_EMPTY_GROUP).
 */
import { errors, type OffsetDeleteRequest, type OffsetDeleteResponseInput } from '@varve/protocol'
import { unlessRefused } from '../groups/refused.js'
import type { KafkaError } from '../kafka-error.js'
import type { RequestContext } from '../request-context.js'

export async function handleOffsetDelete(
  request: OffsetDeleteRequest,
  { broker }: RequestContext,
): Promise<OffsetDeleteResponseInput> {
  const { groupId } = request
  if (groupId === '') return { throttleTimeMs: 0, errorCode: errors.INVALID_GROUP_ID.code, topics: [] }
  const deleted: { readonly partitionIndex: number; errorCode: number }[] = []
  const partitions: { topic: string; partition: number }[] = []
  const topics = request.topics.map(({ name, partitions: asked }) => ({
    name,
    partitions: asked.map(({ partitionIndex }) => {
      const response = { partitionIndex, errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code }
      if (broker.topics.get(name)?.partitions[partitionIndex] !== undefined) {
        deleted.push(response)
        partitions.push({ topic: name, partition: partitionIndex })
      }
      return response
    }),
  }))
  const results = await unlessRefused<readonly KafkaError[] | KafkaError>(
    () => broker.groups.shardIfAny(groupId)?.deleteOffsets(groupId, partitions) ?? errors.GROUP_ID_NOT_FOUND,
    (error) => error,
  )
  if ('code' in results) return { throttleTimeMs: 0, errorCode: results.code, topics: [] }
  deleted.forEach((response, index) => {
    response.errorCode = results[index]!.code
  })
  return { throttleTimeMs: 0, errorCode: 0, topics }
}
