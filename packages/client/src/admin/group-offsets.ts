import { offsetDelete } from '@varve/protocol'
import { VarveError } from '@varve/records'
import {
  commitOffsets,
  fetchCommitted,
  simpleCommitter,
  type CommittedOffset,
  type GroupOffset,
} from '../committed-offsets.js'
import type { Connection } from '../connection.js'
import { KafkaError } from '../kafka-error.js'
import { byTopic, partitionName, type TopicPartition } from '../topic-partition.js'
import { allOrThrow, inOrder, type AdminRequests } from './requests.js'

export async function list(
  requests: AdminRequests,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  requireStable: boolean,
  signal: AbortSignal | undefined,
): Promise<CommittedOffset[]> {
  return atCoordinator(requests, groupId, signal, async (connection) => {
    const found = await fetchCommitted(connection, groupId, partitions, requireStable, { signal })
    return found.sort((a, b) =>
      a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
    )
  })
}

export async function alter(
  requests: AdminRequests,
  groupId: string,
  offsets: readonly GroupOffset[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (offsets.length === 0) return
  await atCoordinator(requests, groupId, signal, async (connection) =>
    commitOffsets(connection, simpleCommitter(groupId), offsets, { signal }),
  )
}

export async function remove(
  requests: AdminRequests,
  groupId: string,
  partitions: readonly TopicPartition[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (partitions.length === 0) return
  await atCoordinator(requests, groupId, signal, async (connection) => {
    const topics = [...byTopic(partitions)].map(([name, found]) => ({
      name,
      partitions: found.map(({ partition }) => ({ partitionIndex: partition })),
    }))
    const response = await connection.request(offsetDelete, { groupId, topics }, { signal })
    const what = `Deleting offsets of group '${groupId}'`
    if (response.errorCode !== 0) throw new KafkaError(response.errorCode, what)
    const answers = response.topics.flatMap(({ name, partitions: found }) =>
      found.map((answer) => ({ topic: name, partition: answer.partitionIndex, errorCode: answer.errorCode })),
    )
    const keys = { item: partitionName, answer: partitionName }
    const outcomes = inOrder(partitions, answers, keys, 'OffsetDelete', ({ errorCode }, where) =>
      errorCode === 0 ? undefined : new KafkaError(errorCode, `${what} for ${partitionName(where)}`),
    )
    allOrThrow(outcomes)
  })
}

async function atCoordinator<T>(
  requests: AdminRequests,
  groupId: string,
  signal: AbortSignal | undefined,
  ask: (connection: Connection) => Promise<T>,
): Promise<T> {
  const outcomes = await requests.atCoordinators([groupId], signal, async (connection) => {
    try {
      return [await ask(connection)]
    } catch (error) {
      if (VarveError.is(error)) return [error]
      throw error
    }
  })
  return allOrThrow(outcomes)[0]!
}
