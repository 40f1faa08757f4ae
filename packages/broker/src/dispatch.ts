import { type Chunk, apiVersions, encodeResponse, type RequestHeader } from '@varve/protocol'
import { handleProduce } from './handlers/00-produce.js'
import { handleFetch } from './handlers/01-fetch.js'
import { handleListOffsets } from './handlers/02-list-offsets.js'
import { handleMetadata } from './handlers/03-metadata.js'
import { handleOffsetCommit } from './handlers/08-offset-commit.js'
import { handleOffsetFetch } from './handlers/09-offset-fetch.js'
import { handleFindCoordinator } from './handlers/10-find-coordinator.js'
import { handleJoinGroup } from './handlers/11-join-group.js'
import { handleHeartbeat } from './handlers/12-heartbeat.js'
import { handleLeaveGroup } from './handlers/13-leave-group.js'
import { handleSyncGroup } from './handlers/14-sync-group.js'
import { handleDescribeGroups } from './handlers/15-describe-groups.js'
import { handleListGroups } from './handlers/16-list-groups.js'
import { handleApiVersions, unsupportedApiVersions } from './handlers/18-api-versions.js'
import { handleCreateTopics } from './handlers/19-create-topics.js'
import { handleDeleteTopics } from './handlers/20-delete-topics.js'
import { handleDeleteRecords } from './handlers/21-delete-records.js'
import { handleInitProducerId } from './handlers/22-init-producer-id.js'
import { handleOffsetForLeaderEpoch } from './handlers/23-offset-for-leader-epoch.js'
import { handleDescribeConfigs } from './handlers/32-describe-configs.js'
import { handleAlterConfigs } from './handlers/33-alter-configs.js'
import { handleDescribeLogDirs } from './handlers/35-describe-log-dirs.js'
import { handleCreatePartitions } from './handlers/37-create-partitions.js'
import { handleElectLeaders } from './handlers/43-elect-leaders.js'
import { handleIncrementalAlterConfigs } from './handlers/44-incremental-alter-configs.js'
import { handleAlterPartitionReassignments } from './handlers/45-alter-partition-reassignments.js'
import { handleListPartitionReassignments } from './handlers/46-list-partition-reassignments.js'
import { handleDescribeQuorum } from './handlers/55-describe-quorum.js'
import { handleDescribeCluster } from './handlers/60-describe-cluster.js'
import { handleDescribeProducers } from './handlers/61-describe-producers.js'
import { handleUnregisterBroker } from './handlers/64-unregister-broker.js'
import { handleDeleteGroups } from './handlers/42-delete-groups.js'
import { handleOffsetDelete } from './handlers/47-offset-delete.js'
import { handleListConfigResources } from './handlers/74-list-config-resources.js'
import { handleDescribeTopicPartitions } from './handlers/75-describe-topic-partitions.js'
import { controllerTimeout, withinTimeout } from './controller-timeout.js'
import { answerByController, isForController } from './forwarded-requests.js'
import { CloseConnection, type RequestContext } from './request-context.js'
import { type AnyApi, supportedApis } from './supported-apis.js'
import { answerStruck } from './testing/struck-requests.js'

export type Handler = (request: never, context: RequestContext) => unknown

const handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [0, handleProduce],
  [1, handleFetch],
  [2, handleListOffsets],
  [3, handleMetadata],
  [8, handleOffsetCommit],
  [9, handleOffsetFetch],
  [10, handleFindCoordinator],
  [11, handleJoinGroup],
  [12, handleHeartbeat],
  [13, handleLeaveGroup],
  [14, handleSyncGroup],
  [15, handleDescribeGroups],
  [16, handleListGroups],
  [18, handleApiVersions],
  [19, handleCreateTopics],
  [20, handleDeleteTopics],
  [21, handleDeleteRecords],
  [22, handleInitProducerId],
  [23, handleOffsetForLeaderEpoch],
  [32, handleDescribeConfigs],
  [33, handleAlterConfigs],
  [35, handleDescribeLogDirs],
  [37, handleCreatePartitions],
  [43, handleElectLeaders],
  [44, handleIncrementalAlterConfigs],
  [45, handleAlterPartitionReassignments],
  [46, handleListPartitionReassignments],
  [55, handleDescribeQuorum],
  [60, handleDescribeCluster],
  [61, handleDescribeProducers],
  [64, handleUnregisterBroker],
  [42, handleDeleteGroups],
  [47, handleOffsetDelete],
  [74, handleListConfigResources],
  [75, handleDescribeTopicPartitions],
])

const produceKey = 0

/** Whether requests of this API may run while earlier ones of it on the same connection still do. */
export function overlaps(apiKey: number): boolean {
  return apiKey === produceKey
}

/**
 * Decodes a request and begins to work on it. The frame must stay valid until the result is there if the API's requests
 * carry records; for all others it is needed during the call only.
 *
 * @returns the encoded response, or null where there is none
 * @throws CloseConnection where Kafka closes the connection: unknown APIs and versions
 * @throws ProtocolError when the body cannot be decoded
 */
export function dispatch(
  header: RequestHeader,
  frame: Buffer,
  context: RequestContext,
): Chunk[] | null | Promise<Chunk[] | null> {
  const { apiKey, apiVersion, correlationId, bodyAt } = header
  const row = supportedApis.get(apiKey)
  if (row === undefined) throw new CloseConnection(`the API key ${apiKey} is not one that this broker serves`)
  const { api, served } = row
  if (apiVersion < served[0] || apiVersion > served[1]) {
    if (apiKey === apiVersions.key)
      return encodeResponse(apiVersions, 0, correlationId, unsupportedApiVersions())
    throw new CloseConnection(
      `${api.name} is served in versions ${served[0]} to ${served[1]}, not in ${apiVersion}`,
    )
  }
  const handler = handlers.get(apiKey)!
  const request = api.request.decode(frame, bodyAt, apiVersion)
  const fault = context.broker.faults.strike(api, request, context)
  const work = isForController(api, request, context)
    ? (asked: unknown) => answerByController(api, asked, context)
    : handler
  const timeoutMs = controllerTimeout(api, request, context)
  const handle =
    timeoutMs === null
      ? work
      : (asked: unknown) =>
          withinTimeout(api, asked, context, timeoutMs, Promise.resolve(work(asked as never, context)))
  const response =
    fault === null
      ? handle(request as never, context)
      : // What is worked off later may not refer to the frame.
        answerStruck(fault, api, api.request.decode(Buffer.from(frame), bodyAt, apiVersion), context, handle)
  if (response instanceof Promise) return response.then((body: unknown) => encode(api, header, body, context))
  return encode(api, header, response, context)
}

function encode(
  api: AnyApi,
  { apiVersion, correlationId }: RequestHeader,
  body: unknown,
  { broker }: RequestContext,
): Chunk[] | null {
  if (body === null) return null
  broker.observer?.responded(api, apiVersion, body as object)
  return encodeResponse(api, apiVersion, correlationId, body as never)
}
