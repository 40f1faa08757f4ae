import { anything } from './config-check.js'
import type {
  BrokerConfigDefinition,
  BrokerConfigRow,
  GroupConfigDefinition,
  TopicConfigDefinition,
  TopicConfigRow,
} from './config-definition.js'
import { clusterRows } from './tables/cluster-rows.js'
import { groupResourceRows } from './tables/group-resource-rows.js'
import { groupRows } from './tables/group-rows.js'
import { logRows } from './tables/log-rows.js'
import { networkRows } from './tables/network-rows.js'
import { remoteStorageRows } from './tables/remote-storage-rows.js'
import { securityRows } from './tables/security-rows.js'
import { shareAndStreamsRows } from './tables/share-and-streams-rows.js'
import { topicRows } from './tables/topic-rows.js'

/** Every configuration of a topic that Kafka 4.4 knows, by name. */
export const topicConfigs: ReadonlyMap<string, TopicConfigDefinition> = new Map(
  topicRows.map((row) => [row[0], topicDefinition(row)]),
)

/** Every configuration of a broker that Kafka 4.4 lists, or can be given while it runs and lists then, by name. */
export const brokerConfigs: ReadonlyMap<string, BrokerConfigDefinition> = new Map(
  [
    logRows,
    networkRows,
    groupRows,
    clusterRows,
    securityRows,
    shareAndStreamsRows,
    remoteStorageRows,
  ].flatMap((rows) => rows.map((row) => [row[0], brokerDefinition(row)])),
)

/** Every configuration of a group that Kafka 4.4 knows, by name. None acts here. */
export const groupConfigs: ReadonlyMap<string, GroupConfigDefinition> = new Map(
  groupResourceRows.map(([name, type, defaultValue, brokerName, documentation]) => [
    name,
    { name, type, defaultValue, brokerName, documentation, check: anything, importance: 'MEDIUM' },
  ]),
)

/** Whether a broker's configuration can be altered while it runs, alone or in a cluster. */
export function isDynamic(name: string, isOfCluster: boolean): boolean {
  const service = brokerConfigs.get(name)?.service
  if (service === 'dynamic') return true
  return isOfCluster && (service === 'dynamic in a cluster' || service === 'altered in a cluster')
}

function topicDefinition(row: TopicConfigRow): TopicConfigDefinition {
  const [name, type, defaultValue, check, importance, brokerName, service, documentation] = row
  return { name, type, defaultValue, check, importance, brokerName, service, documentation }
}

function brokerDefinition(row: BrokerConfigRow): BrokerConfigDefinition {
  const [name, type, defaultValue, check, importance, service, documentation] = row
  return { name, type, defaultValue, check, importance, service, documentation }
}
