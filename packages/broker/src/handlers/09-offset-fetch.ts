/**
 * OffsetFetch (9), versions 1 to 10. A partition without a committed offset is answered with offset −1, and so is one whose
 * topic was deleted and created anew since. There are no transactions that could make an offset unstable, so
 * `requireStable` changes nothing; neither does the member's epoch, which belongs to a protocol that is not served.
 */
import { errors, type OffsetFetchRequest, type OffsetFetchResponseInput } from '@varve/protocol'
import type { CommittedOffsets } from '../groups/committed-offsets.js'
import { unlessRefused } from '../groups/refused.js'
import type { KafkaError } from '../kafka-error.js'
import type { RequestContext } from '../request-context.js'

const groupErrorSince = 2
const groupsSince = 8
const topicIdsSince = 10

type GroupResponse = NonNullable<OffsetFetchResponseInput['groups']>[number]
type TopicResponse = NonNullable<GroupResponse['topics']>[number]
type PartitionResponse = NonNullable<TopicResponse['partitions']>[number]

interface AskedTopic {
  readonly name: string
  readonly topicId: string
  readonly partitionIndexes: readonly number[]
}

export async function handleOffsetFetch(
  request: OffsetFetchRequest,
  context: RequestContext,
): Promise<OffsetFetchResponseInput> {
  if (context.apiVersion >= groupsSince) {
    const groups: GroupResponse[] = []
    for (const { groupId, topics } of request.groups) groups.push(await fetchGroup(groupId, topics, context))
    return { groups }
  }
  const asked = request.topics?.map((topic) => ({ ...topic, topicId: '' })) ?? null
  const { topics, errorCode = 0 } = await fetchGroup(request.groupId, asked, context)
  return { topics, errorCode }
}

function fetchGroup(
  groupId: string,
  asked: readonly AskedTopic[] | null,
  context: RequestContext,
): Promise<GroupResponse> {
  return unlessRefused<GroupResponse>(
    () => {
      const offsets = context.broker.groups.shardIfAny(groupId)?.committed(groupId) ?? null
      const topics =
        asked === null
          ? everyTopic(offsets, context)
          : asked.map((topic) => askedTopic(topic, offsets, context))
      return { groupId, topics, errorCode: 0 }
    },
    ({ code }) => {
      if (context.apiVersion >= groupErrorSince) return { groupId, topics: [], errorCode: code }
      const topics = (asked ?? []).map(({ name, topicId, partitionIndexes }) => ({
        name,
        topicId,
        partitions: partitionIndexes.map((index) => nothing(index, code)),
      }))
      return { groupId, topics, errorCode: 0 }
    },
  )
}

function askedTopic(
  { name, topicId, partitionIndexes }: AskedTopic,
  offsets: CommittedOffsets | null,
  { apiVersion, broker }: RequestContext,
): TopicResponse {
  const topic = apiVersion >= topicIdsSince ? broker.topics.getById(topicId) : broker.topics.get(name)
  let error: KafkaError = errors.NONE
  if (topic === undefined && apiVersion >= topicIdsSince) error = errors.UNKNOWN_TOPIC_ID
  const partitions = partitionIndexes.map((index) =>
    error === errors.NONE
      ? committed(offsets, topic?.name ?? name, topic?.id ?? null, index)
      : nothing(index, error.code),
  )
  return { name, topicId, partitions }
}

function everyTopic(
  offsets: CommittedOffsets | null,
  { apiVersion, broker }: RequestContext,
): TopicResponse[] {
  const responses: TopicResponse[] = []
  for (const name of offsets?.topics() ?? []) {
    const topic = broker.topics.get(name)
    // Without an id there is no way to speak of it.
    if (topic === undefined && apiVersion >= topicIdsSince) continue
    const id = topic?.id ?? null
    const partitions = offsets!
      .partitions(name)
      .map((index) => committed(offsets, name, id, index))
      .filter(({ committedOffset }) => committedOffset !== -1)
    if (partitions.length > 0) responses.push({ name, topicId: id ?? '', partitions })
  }
  return responses
}

function committed(
  offsets: CommittedOffsets | null,
  topic: string,
  topicId: string | null,
  partition: number,
): PartitionResponse {
  const found = offsets?.get(topic, partition) ?? null
  if (found === null) return nothing(partition, 0)
  if (topicId !== null && found.topicId !== null && found.topicId !== topicId) return nothing(partition, 0)
  const { offset, leaderEpoch, metadata } = found
  return {
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
    errorCode: 0,
  }
}

function nothing(partitionIndex: number, errorCode: number): PartitionResponse {
  return { partitionIndex, committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode }
}
