import type { AnyApi } from './api.js'
import { produce } from './messages/00-produce.js'
import { fetch } from './messages/01-fetch.js'
import { listOffsets } from './messages/02-list-offsets.js'
import { metadata } from './messages/03-metadata.js'
import { offsetCommit } from './messages/08-offset-commit.js'
import { offsetFetch } from './messages/09-offset-fetch.js'
import { findCoordinator } from './messages/10-find-coordinator.js'
import { joinGroup } from './messages/11-join-group.js'
import { heartbeat } from './messages/12-heartbeat.js'
import { leaveGroup } from './messages/13-leave-group.js'
import { syncGroup } from './messages/14-sync-group.js'
import { describeGroups } from './messages/15-describe-groups.js'
import { listGroups } from './messages/16-list-groups.js'
import { apiVersions } from './messages/18-api-versions.js'
import { createTopics } from './messages/19-create-topics.js'
import { deleteTopics } from './messages/20-delete-topics.js'
import { deleteRecords } from './messages/21-delete-records.js'
import { initProducerId } from './messages/22-init-producer-id.js'
import { describeConfigs } from './messages/32-describe-configs.js'
import { alterConfigs } from './messages/33-alter-configs.js'
import { describeLogDirs } from './messages/35-describe-log-dirs.js'
import { createPartitions } from './messages/37-create-partitions.js'
import { deleteGroups } from './messages/42-delete-groups.js'
import { incrementalAlterConfigs } from './messages/44-incremental-alter-configs.js'
import { offsetDelete } from './messages/47-offset-delete.js'
import { describeCluster } from './messages/60-describe-cluster.js'
import { listConfigResources } from './messages/74-list-config-resources.js'
import { describeTopicPartitions } from './messages/75-describe-topic-partitions.js'

const all: readonly AnyApi[] = [
  produce,
  fetch,
  listOffsets,
  metadata,
  offsetCommit,
  offsetFetch,
  findCoordinator,
  joinGroup,
  heartbeat,
  leaveGroup,
  syncGroup,
  describeGroups,
  listGroups,
  apiVersions,
  createTopics,
  deleteTopics,
  deleteRecords,
  initProducerId,
  describeConfigs,
  alterConfigs,
  describeLogDirs,
  createPartitions,
  deleteGroups,
  incrementalAlterConfigs,
  offsetDelete,
  describeCluster,
  listConfigResources,
  describeTopicPartitions,
]

/** Every declared API by its key. */
export const apis: ReadonlyMap<number, AnyApi> = new Map(all.map((api) => [api.key, api]))
