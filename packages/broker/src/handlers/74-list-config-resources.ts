/**
 * ListConfigResources (74), versions 0 and 1: the topics and the brokers, which have configurations whether any was altered
 * or not. There are no client metrics and groups that have any, and no loggers.
 */
import {
  errors,
  type ListConfigResourcesRequest,
  type ListConfigResourcesResponseInput,
} from '@varve/protocol'
import { resourceTypes } from '../configs/config-resources.js'
import type { RequestContext } from '../request-context.js'

const known: ReadonlySet<number> = new Set(Object.values(resourceTypes))

export function handleListConfigResources(
  request: ListConfigResourcesRequest,
  { apiVersion, broker }: RequestContext,
): ListConfigResourcesResponseInput {
  // Version 0 lists client metrics and nothing else.
  if (apiVersion === 0) return { throttleTimeMs: 0, errorCode: 0, configResources: [] }
  if (request.resourceTypes.some((type) => !known.has(type))) {
    return { throttleTimeMs: 0, errorCode: errors.UNSUPPORTED_VERSION.code, configResources: [] }
  }
  const wanted = request.resourceTypes.length > 0 ? new Set(request.resourceTypes) : known
  const configResources: { resourceName: string; resourceType: number }[] = []
  if (wanted.has(resourceTypes.TOPIC)) {
    for (const { name } of broker.topics.all()) {
      configResources.push({ resourceName: name, resourceType: resourceTypes.TOPIC })
    }
  }
  if (wanted.has(resourceTypes.BROKER)) {
    for (const id of broker.cluster.brokerIds())
      configResources.push({ resourceName: String(id), resourceType: resourceTypes.BROKER })
  }
  return { throttleTimeMs: 0, errorCode: 0, configResources }
}
