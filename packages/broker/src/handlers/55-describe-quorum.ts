/**
 * DescribeQuorum (55), versions 0 to 2, as a Kafka answers that is broker and controller in one: the controller leads the
 * metadata log, and is its only voter, since no other broker has a say in what is in the metadata store. Whatever is asked beside that
 * one partition makes all of it unknown. The epoch is the revision at which the controller has become it, as far as 31 bits hold that; 0
 * for a broker that is alone. No listener is a controller's alone; the one that was asked is named.
 */
import {
  type DescribeQuorumRequest,
  type DescribeQuorumResponseInput,
  errors,
  ZERO_UUID,
} from '@varve/protocol'
import type { RequestContext } from '../request-context.js'

const metadataTopic = '__cluster_metadata'
const largestEpoch = 2 ** 31 - 1

export async function handleDescribeQuorum(
  request: DescribeQuorumRequest,
  { broker, endpoint }: RequestContext,
): Promise<DescribeQuorumResponseInput> {
  const nobody = { leaderId: 0, leaderEpoch: 0, highWatermark: 0, currentVoters: [], observers: [] }
  const [asked, ...others] = request.topics.flatMap(({ topicName, partitions }) =>
    partitions.map(({ partitionIndex }) => ({ topicName, partitionIndex })),
  )
  const isOfMetadata = asked?.topicName === metadataTopic && asked.partitionIndex === 0 && others.length === 0
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
      if (!isOfMetadata) {
        const errorMessage = errors.UNKNOWN_TOPIC_OR_PARTITION.message
        const { code } = errors.UNKNOWN_TOPIC_OR_PARTITION
        return { partitionIndex, errorCode: code, errorMessage, ...nobody }
      }
      const highWatermark = revision
      return {
        partitionIndex,
        errorCode: 0,
        errorMessage: '',
        leaderId: broker.nodeId,
        leaderEpoch: Math.min(broker.cluster.controllerEpoch, largestEpoch),
        highWatermark,
        currentVoters: [voter],
        observers: [],
      }
    }),
  }))
  const node = { nodeId: broker.nodeId, listeners: [{ name: endpoint.listener, ...endpoint }] }
  return { errorCode: 0, errorMessage: '', topics, nodes: isOfMetadata ? [node] : [] }
}

/** A directory's id as the protocol has it; one that is no UUID, as other tools may write them, is none. */
function uuidOf(directoryId: string): string {
  return /^[\w-]{21}[AQgw]$/.test(directoryId) ? directoryId : ZERO_UUID
}
