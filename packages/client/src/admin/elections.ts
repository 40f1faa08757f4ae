import { electLeaders, errors, type ElectLeadersResponse } from '@varve/protocol'
import { VarveError } from '@varve/records'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { byTopic, type TopicPartition } from '../topic-partition.js'
import type { PartitionOutcome } from './reassignments.js'
import { throwIfMoved, type AdminRequests } from './requests.js'

/**
 * Who is to become leader. `preferred`: the first replica, where it is in sync. `unclean`: where there is no leader, any replica
 * that is there, also one that lacks records, which are lost then (KIP-460).
 */
export type ElectionType = 'preferred' | 'unclean'

const UNCLEAN_FROM_VERSION = 1
const types: Readonly<Record<ElectionType, number>> = { preferred: 0, unclean: 1 }

export interface ElectionOutcome extends PartitionOutcome {
  /** False where there was no need: the leader was the right one already. */
  readonly isElected: boolean
}

type TopicResult = ElectLeadersResponse['replicaElectionResults'][number]

export async function elect(
  requests: AdminRequests,
  type: ElectionType,
  partitions: readonly TopicPartition[] | null,
  signal: AbortSignal | undefined,
): Promise<ElectionOutcome[]> {
  if (partitions?.length === 0) return []
  const topicPartitions =
    partitions === null
      ? null
      : [...byTopic(partitions)].map(([topic, found]) => ({
          topic,
          partitions: found.map(({ partition }) => partition),
        }))
  const ask = async (connection: Connection) => {
    const hasTypes = connection.versionOf(electLeaders) >= UNCLEAN_FROM_VERSION
    if (type === 'unclean' && !hasTypes) throw tooOld(connection.address)
    const body = {
      topicPartitions,
      timeoutMs: requests.timeoutMs,
      ...(hasTypes ? { electionType: types[type] } : {}),
    }
    const answer = await connection.request(electLeaders, body, { signal })
    const { errorCode, replicaElectionResults } = answer
    // With an error for the whole there is the same one, and its message, for each partition that was named.
    const [first] = replicaElectionResults.flatMap(({ partitionResult }) => partitionResult)
    if (errorCode !== 0) throw new KafkaError(errorCode, 'Electing leaders', first?.errorMessage)
    for (const { topic, partitionResult } of replicaElectionResults)
      for (const { partitionId, errorCode: code } of partitionResult)
        throwIfMoved(code, electing(topic, partitionId))
    return answer
  }
  const response = await requests.atController(signal, ask, true)
  return response.replicaElectionResults.flatMap(outcomesOf)
}

function outcomesOf({ topic, partitionResult }: TopicResult): ElectionOutcome[] {
  return partitionResult.map(({ partitionId, errorCode, errorMessage }) => {
    const isLed = errorCode === 0 || errorCode === errors.ELECTION_NOT_NEEDED.code
    const error = isLed ? null : new KafkaError(errorCode, electing(topic, partitionId), errorMessage)
    return { topic, partition: partitionId, isElected: errorCode === 0, error }
  })
}

const electing = (topic: string, partition: number): string => `Electing a leader of ${topic}-${partition}`

function tooOld(address: string): VarveError {
  return new VarveError(
    'VARVE_UNSUPPORTED_VERSION',
    `The broker at ${address} is too old to elect leaders that are not in sync`,
  )
}
