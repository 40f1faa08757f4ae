/**
 * DescribeQuorum (55), versions 0 to 2, as a Kafka answers that is broker and controller in one: this node leads the
 * metadata log, and is its only voter. There is no election, so that the leader's epoch stays 0. No listener is a
 * controller's alone; the one that was asked is named.
 */
import {
  type DescribeQuorumRequest,
  type DescribeQuorumResponseInput,
  errors,
  ZERO_UUID,
} from '@varve/protocol'
import type { RequestContext } from '../request-context.js'

const metadataTopic = '__cluster_metadata'
const leaderEpoch = 0

export async function handleDescribeQuorum(
  request: DescribeQuorumRequest,
  { broker, endpoint }: RequestContext,
): Promise<DescribeQuorumResponseInput> {
  const nobody = { leaderId: -1, leaderEpoch: -1, highWatermark: -1, currentVoters: [], observers: [] }
  const revision = await broker.metadataRevision()
  const now = broker.clock.now()
  const voter = {
    replicaId: broker.nodeId,
    replicaDirectoryId: uuidOf(broker.directories.first.directoryId),
    logEndOffset: revision,
    lastFetchTimestamp: now,
    lastCaughtUpTimestamp: now,
  }
  const topics = request.topics.map(({ topicName, partitions }) => ({
    topicName,
    partitions: partitions.map(({ partitionIndex }) => {
      if (topicName !== metadataTopic || partitionIndex !== 0) {
        const errorMessage = errors.UNKNOWN_TOPIC_OR_PARTITION.message
        const { code } = errors.UNKNOWN_TOPIC_OR_PARTITION
        return { partitionIndex, errorCode: code, errorMessage, ...nobody }
      }
      const highWatermark = revision
      return {
        partitionIndex,
        errorCode: 0,
        errorMessage: null,
        leaderId: broker.nodeId,
        leaderEpoch,
        highWatermark,
        currentVoters: [voter],
        observers: [],
      }
    }),
  }))
  const nodes = [{ nodeId: broker.nodeId, listeners: [{ name: 'PLAINTEXT', ...endpoint }] }]
  return { errorCode: 0, errorMessage: null, topics, nodes }
}

/** A directory's id as the protocol has it; one that is no UUID, as other tools may write them, is none. */
function uuidOf(directoryId: string): string {
  return /^[\w-]{21}[AQgw]$/.test(directoryId) ? directoryId : ZERO_UUID
}
