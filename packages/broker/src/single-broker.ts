import { type Closer } from './broker.js'
import { soleView } from './cluster-view.js'
import { BrokerConfigs } from './configs/broker-configs.js'
import { staticConfigs } from './configs/static-configs.js'
import { soleController } from './controller-link.js'
import { DataDirectories } from './data-directories.js'
import type { Foundation, FoundationOptions } from './foundation.js'
import { LocalTopics } from './local-topics.js'
import { LocalMetadataStore } from './metadata/local-metadata-store.js'

/** What a broker that is alone stands on: its data directories, with its metadata in the first of them. */
export async function openSingleBroker(
  { options, paths, temporary, openDataDirectory, opening }: FoundationOptions,
  opened: Closer[],
): Promise<Foundation> {
  const { clock, log, durability, lowDiskBytes } = options
  const directoryOptions = {
    volatile: temporary && durability === 'os',
    ...(clock.follow !== undefined && { timeMs: clock.now() }),
    ...(options.nodeId !== undefined && { nodeId: options.nodeId }),
    ...(options.clusterId !== undefined && { clusterId: options.clusterId }),
  }
  const directories = await DataDirectories.open(paths, directoryOptions, openDataDirectory)
  opened.push(() => directories.close())
  const { first } = directories
  const metadata = await LocalMetadataStore.open(first, {
    durability: temporary ? 'os' : 'fsync',
    clock,
    log,
  })
  opened.push(() => metadata.close())
  const configs = await BrokerConfigs.load(
    metadata,
    first.nodeId,
    staticConfigs(options, first.nodeId, directories.paths),
  )
  const durable = !temporary
  const topics = await LocalTopics.open({
    opening,
    directories,
    metadata,
    configs,
    durability,
    lowDiskBytes,
    durable,
    clock,
    log,
  })
  opened.push(() => topics.detach())
  return {
    directories,
    metadata,
    configs,
    topics,
    cluster: soleView(first.nodeId, options.rack),
    controller: soleController(first.nodeId),
    leaderQuota: null,
    join: () => Promise.resolve(),
    onTakenOver: () => {},
    problems: () => [],
    leave: () => Promise.resolve(),
    vanish: () => {},
  }
}
