/**
 * AlterConfigs (33), versions 0 to 2: as IncrementalAlterConfigs, with all configurations of a resource at once. What a
 * request does not name goes back to its default.
 */
import type { AlterConfigsRequest, AlterConfigsResponseInput } from '@varve/protocol'
import { givenValues } from '../configs/checked-configs.js'
import type { RequestContext } from '../request-context.js'
import { alterEach, findAlterable, replaceConfigs } from './44-incremental-alter-configs.js'

export async function handleAlterConfigs(
  request: AlterConfigsRequest,
  { broker }: RequestContext,
): Promise<AlterConfigsResponseInput> {
  const responses = await alterEach(request.resources, async ({ resourceType, resourceName, configs }) => {
    const found = findAlterable(resourceType, resourceName, broker)
    await replaceConfigs(found, request.validateOnly, broker, () => givenValues(configs))
  })
  return { throttleTimeMs: 0, responses }
}
