/** Kafka's longest topic name: with `-` and five digits of partition it still is a legal file name. */
const longestName = 249

/** Names whose first user is a coordinator of ours or of Kafka's; clients can neither create nor write them. */
const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
  '__cluster_metadata',
])

/** Everything that varve keeps for itself, the metadata log among it. */
const reservedPrefix = '__varve_'

/** What is wrong with a topic's name by Kafka's rules, or null. */
export function topicNameProblem(name: string): string | null {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed'
  if (name === '.' || name === '..') return `Topic name is invalid: '${name}' is not allowed`
  if (name.length > longestName) {
    return `Topic name is invalid: the length of '${name.slice(0, 32)}…' is longer than the max allowed length ${longestName}`
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return null
}

/** Whether the name belongs to a coordinator or to varve itself. */
export function isInternalTopic(name: string): boolean {
  return internalTopics.has(name) || name.startsWith(reservedPrefix)
}

/** Metric names turn `.` into `_`, so Kafka refuses two topics that differ in nothing else. */
export function collisionKey(name: string): string {
  return name.replaceAll('.', '_')
}
