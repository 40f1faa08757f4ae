/** Names whose first user is a coordinator of ours or of Kafka's; clients can neither create nor write them. */
const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
  '__cluster_metadata',
])

/** Whether the name is that of a coordinator's topic, which Metadata calls internal. */
export function isCoordinatorsTopic(name: string): boolean {
  return internalTopics.has(name)
}

/** Everything that varve keeps for itself, the metadata log among it. */
const reservedPrefix = '__varve_'

/** Whether the name belongs to a coordinator or to varve itself. */
export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name) || name.startsWith(reservedPrefix)
}

/** Metric names turn `.` into `_`, so Kafka refuses two topics that differ in nothing else. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}
