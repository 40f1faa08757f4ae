import type { AnyApi } from './api.js'
import { produce } from './messages/00-produce.js'
import { fetch } from './messages/01-fetch.js'
import { listOffsets } from './messages/02-list-offsets.js'
import { metadata } from './messages/03-metadata.js'
import { findCoordinator } from './messages/10-find-coordinator.js'
import { apiVersions } from './messages/18-api-versions.js'
import { createTopics } from './messages/19-create-topics.js'

const all: readonly AnyApi[] = [
  produce,
  fetch,
  listOffsets,
  metadata,
  findCoordinator,
  apiVersions,
  createTopics,
]

/** Every declared API by its key. */
export const apis: ReadonlyMap<number, AnyApi> = new Map(all.map((api) => [api.key, api]))
