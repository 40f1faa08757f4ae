/** A partition of a topic. */
export interface TopicPartition {
  /** The topic's name. */
  readonly topic: string
  /** The partition's number, from 0 on. */
  readonly partition: number
}

/** A member of a consumer group, as its group's leader knows it. */
export interface AssignorMember {
  /** As the group's coordinator named it. */
  readonly memberId: string
  /** Of a static member (KIP-345), else null. */
  readonly groupInstanceId: string | null
  /** What it subscribes to. */
  readonly topics: readonly string[]
  /** What it read before this rebalance. */
  readonly owned: readonly TopicPartition[]
  /** The generation in which it was given that; −1 for none. */
  readonly generation: number
}

/** How many partitions each topic has. A topic that is not there has none. */
export type PartitionCounts = ReadonlyMap<string, number>

/** What each member, by its id, is to read; every member has an entry. */
export type GroupAssignment = Map<string, TopicPartition[]>

/** Shares the partitions of topics out among the members of a group that subscribe to them. */
export interface GroupAssignor {
  /** Kafka's name, by which members of one group agree on it. */
  readonly name: string
  /**
   * `eager`: members give everything up before a rebalance. `cooperative` (KIP-429): they keep what they have, and
   * what is to change hands is given to nobody until the next rebalance.
   */
  readonly protocol: 'eager' | 'cooperative'
  /** What each of the members is to read of the topics that it subscribes to. The same members and partitions give the same. */
  assign(members: readonly AssignorMember[], partitions: PartitionCounts): GroupAssignment
}

/** Static members come first, by their instance ids, so that a restart changes nothing. */
export function inMemberOrder(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((a, b) => {
    if ((a.groupInstanceId === null) !== (b.groupInstanceId === null))
      return a.groupInstanceId === null ? 1 : -1
    return compare(a.groupInstanceId ?? a.memberId, b.groupInstanceId ?? b.memberId)
  })
}

/** The topics that anybody subscribes to, by name, with their partitions. */
export function subscribedTopics(
  members: readonly AssignorMember[],
  partitions: PartitionCounts,
): Array<{ topic: string; count: number }> {
  return [...new Set(members.flatMap(({ topics }) => topics))]
    .sort(compare)
    .map((topic) => ({ topic, count: partitions.get(topic) ?? 0 }))
}

export function emptyAssignment(members: readonly AssignorMember[]): GroupAssignment {
  return new Map(members.map(({ memberId }) => [memberId, []]))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
