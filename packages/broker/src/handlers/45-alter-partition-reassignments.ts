/**
 * AlterPartitionReassignments (45), versions 0 and 1 (KIP-455): gives partitions other replicas, in place of a reassignment that
 * is under way; null ends one, and what it added leaves again. The answer comes when the reassignments have begun, which is
 * not when they are complete. A broker that is alone is the only place that a replica can have, and ignores the timeout.
 */
import {
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponseInput,
  errors,
} from '@varve/protocol'
import { type ReassignRequest, targetReplicas } from '@varve/replication'
import type { BrokerState } from '../broker-state.js'
import { Refusal } from '../refusal.js'
import { checkReplicas } from '../replica-assignment.js'
import type { RequestContext } from '../request-context.js'

type Wanted = AlterPartitionReassignmentsRequest['topics'][number]['partitions'][number]
type TopicResponse = AlterPartitionReassignmentsResponseInput['responses'][number]

interface PartitionResponse {
  readonly partitionIndex: number
  errorCode: number
  errorMessage: string | null
}

export async function handleAlterPartitionReassignments(
  { topics, allowReplicationFactorChange }: AlterPartitionReassignmentsRequest,
  { broker }: RequestContext,
): Promise<AlterPartitionReassignmentsResponseInput> {
  // As Kafka answers a request for nothing.
  if (topics.length === 0) return { throttleTimeMs: 0, errorCode: 0, errorMessage: '', responses: [] }
  const wishes: ReassignRequest['partitions'][number][] = []
  const wished: PartitionResponse[] = []
  const responses = topics.map(({ name, partitions }): TopicResponse => ({
    name,
    partitions: partitions.map((wanted) => {
      const { partitionIndex, replicas } = wanted
      const response: PartitionResponse = { partitionIndex, errorCode: 0, errorMessage: null }
      try {
        check(name, wanted, allowReplicationFactorChange, broker)
        wishes.push({ topic: name, partition: partitionIndex, replicas })
        wished.push(response)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        refuse(response, error.error)
        response.errorMessage = error.message
      }
      return response
    }),
  }))
  const { error, partitions: outcomes } = await broker.controller.request({
    kind: 'reassign',
    partitions: wishes,
  })
  for (const [index, response] of wished.entries()) {
    const name = error ?? outcomes[index]!.error
    if (name !== null) refuse(response, errors[name])
  }
  const { code: errorCode, message: errorMessage } =
    error === null ? { code: 0, message: null } : errors[error]
  return { throttleTimeMs: 0, allowReplicationFactorChange, errorCode, errorMessage, responses }
}

/** @throws Refusal in Kafka's words */
function check(
  topic: string,
  { partitionIndex, replicas }: Wanted,
  mayChangeFactor: boolean,
  { topics, cluster }: BrokerState,
): void {
  const unknown = (message: string): Refusal => new Refusal(errors.UNKNOWN_TOPIC_OR_PARTITION, message)
  const found = topics.get(topic)
  if (found === undefined) throw unknown(`Unable to find a topic named ${topic}.`)
  const partition = found.partitions[partitionIndex]
  if (partition === undefined) throw unknown(`Unable to find partition ${topic}:${partitionIndex}.`)
  if (replicas === null) return
  // One that is down may stay where it is.
  checkReplicas(replicas, new Set([...cluster.brokerIds(), ...partition.state.replicas]))
  const present = targetReplicas(partition.state).length
  if (!mayChangeFactor && replicas.length !== present) {
    throw new Refusal(
      errors.INVALID_REPLICATION_FACTOR,
      `The replication factor is changed from ${present} to ${replicas.length}`,
    )
  }
}

function refuse(response: PartitionResponse, { code, message }: { code: number; message: string }): void {
  response.errorCode = code
  response.errorMessage = message
}
