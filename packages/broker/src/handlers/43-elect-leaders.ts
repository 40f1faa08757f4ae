/**
 * ElectLeaders (43), versions 0 to 2: the preferred leader (type 0), or where there is no leader any live replica, also one
 * that lacks records (type 1, KIP-460). An election of all partitions lists those of which there is something to say, as
 * Kafka does. The answer comes when the new leaders are known; a broker that is alone ignores the timeout.
 */
import { type ElectLeadersRequest, type ElectLeadersResponseInput, errors } from '@varve/protocol'
import { noBroker, type TopicPartition } from '@varve/replication'
import type { Partition } from '../partition.js'
import type { RequestContext } from '../request-context.js'

const elections = ['preferred', 'unclean'] as const

type TopicResult = ElectLeadersResponseInput['replicaElectionResults'][number]

interface Result {
  readonly partitionId: number
  errorCode: number
  errorMessage: string | null
}

export async function handleElectLeaders(
  { electionType, topicPartitions }: ElectLeadersRequest,
  { broker: { topics, controller } }: RequestContext,
): Promise<ElectLeadersResponseInput> {
  const election = elections[electionType]
  if (election === undefined) {
    const { code } = errors.INVALID_REQUEST
    return refused(topicPartitions, code, `There is no election of type ${electionType}.`)
  }
  const asked =
    topicPartitions ??
    [...topics.all()].map(({ name, partitions }) => ({
      topic: name,
      partitions: partitions.filter((partition) => needs(election, partition)).map(({ index }) => index),
    }))
  const wished: (TopicPartition & { readonly result: Result })[] = []
  const results = asked.map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((partition) => {
      const result: Result = { partitionId: partition, errorCode: 0, errorMessage: null }
      const found = topics.get(topic)
      if (found?.partitions[partition] !== undefined) wished.push({ topic, partition, result })
      else {
        result.errorCode = errors.UNKNOWN_TOPIC_OR_PARTITION.code
        result.errorMessage =
          found === undefined ? `No such topic as ${topic}` : `No such partition as ${topic}-${partition}`
      }
      return result
    }),
  }))
  const { error, partitions: outcomes } = await controller.request({
    kind: 'elect leaders',
    election,
    partitions: wished.map(({ topic, partition }) => ({ topic, partition })),
  })
  if (error !== null) return refused(topicPartitions, errors[error].code, errors[error].message)
  for (const [index, { result }] of wished.entries()) {
    const outcome = outcomes[index]!.error
    if (outcome === null) continue
    const { code, message } = errors[outcome]
    result.errorCode = code
    result.errorMessage =
      outcome === 'ELECTION_NOT_NEEDED' ? 'Leader election not needed for topic partition.' : message
  }
  const replicaElectionResults = topicPartitions === null ? withoutNeedless(results) : results
  return { throttleTimeMs: 0, errorCode: 0, replicaElectionResults }
}

function needs(election: (typeof elections)[number], { state: { leader, replicas } }: Partition): boolean {
  return election === 'preferred' ? leader !== replicas[0] : leader === noBroker
}

/** Another election may have come first. */
function withoutNeedless(results: readonly TopicResult[]): TopicResult[] {
  return results
    .map(({ topic, partitionResult }) => ({
      topic,
      partitionResult: partitionResult.filter(
        ({ errorCode }) => errorCode !== errors.ELECTION_NOT_NEEDED.code,
      ),
    }))
    .filter(({ partitionResult }) => partitionResult.length > 0)
}

function refused(
  asked: ElectLeadersRequest['topicPartitions'],
  errorCode: number,
  errorMessage: string,
): ElectLeadersResponseInput {
  const replicaElectionResults = (asked ?? []).map(({ topic, partitions }) => ({
    topic,
    partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
  }))
  return { throttleTimeMs: 0, errorCode, replicaElectionResults }
}
