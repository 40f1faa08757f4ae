/**
 * ElectLeaders (43), versions 0 to 2. This broker leads every partition and is its preferred replica, so that no election is
 * ever needed; an election of all partitions lists those of which there is something to say, which is none.
 */
import { type ElectLeadersRequest, type ElectLeadersResponseInput, errors } from '@varve/protocol'
import type { RequestContext } from '../request-context.js'

const knownElectionTypes: readonly number[] = [0, 1]

export function handleElectLeaders(
  { electionType, topicPartitions }: ElectLeadersRequest,
  { broker }: RequestContext,
): ElectLeadersResponseInput {
  if (!knownElectionTypes.includes(electionType)) {
    const { code: errorCode } = errors.INVALID_REQUEST
    const errorMessage = `There is no election of type ${electionType}.`
    const replicaElectionResults = (topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
    }))
    return { throttleTimeMs: 0, errorCode, replicaElectionResults }
  }
  const replicaElectionResults = (topicPartitions ?? []).map(({ topic: name, partitions }) => {
    const topic = broker.topics.get(name)
    const partitionResult = partitions.map((partitionId) => {
      if (topic === undefined) return unknown(partitionId, `No such topic as ${name}`)
      if (topic.partitions[partitionId] === undefined) {
        return unknown(partitionId, `No such partition as ${name}-${partitionId}`)
      }
      const errorMessage = 'Leader election not needed for topic partition.'
      return { partitionId, errorCode: errors.ELECTION_NOT_NEEDED.code, errorMessage }
    })
    return { topic: name, partitionResult }
  })
  return { throttleTimeMs: 0, errorCode: 0, replicaElectionResults }
}

function unknown(partitionId: number, errorMessage: string) {
  return { partitionId, errorCode: errors.UNKNOWN_TOPIC_OR_PARTITION.code, errorMessage }
}
