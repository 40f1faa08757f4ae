import {
  emptyAssignment,
  inMemberOrder,
  subscribedTopics,
  type AssignorMember,
  type GroupAssignment,
  type GroupAssignor,
  type PartitionCounts,
  type TopicPartition,
} from './assignor.js'

/** As even as subscriptions allow, and as much as possible where it was (KIP-54). */
export const stickyAssignor: GroupAssignor = {
  name: 'sticky',
  protocol: 'eager',
  assign: (members, partitions) => new StickyAssignment(members, partitions).result(),
}

/** As `sticky`, but what changes hands is first given up, and given to its new owner in the next rebalance (KIP-429). */
export const cooperativeStickyAssignor: GroupAssignor = {
  name: 'cooperative-sticky',
  protocol: 'cooperative',
  assign: (members, partitions) => withoutMoved(members, new StickyAssignment(members, partitions).result()),
}

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

/** Whoever still reads a partition keeps others from it, however old the claim is. */
function withoutMoved(members: readonly AssignorMember[], assignment: GroupAssignment): GroupAssignment {
  const givenUp = new Set<string>()
  for (const { memberId, owned } of members) {
    const kept = new Set(assignment.get(memberId)!.map(nameOf))
    for (const partition of owned) if (!kept.has(nameOf(partition))) givenUp.add(nameOf(partition))
  }
  for (const { memberId, owned } of members) {
    const before = new Set(owned.map(nameOf))
    const ready = assignment
      .get(memberId)!
      .filter((partition) => before.has(nameOf(partition)) || !givenUp.has(nameOf(partition)))
    assignment.set(memberId, ready)
  }
  return assignment
}

interface Share {
  readonly memberId: string
  readonly topics: ReadonlySet<string>
  readonly partitions: Map<string, TopicPartition>
}

/**
 * Begins with what the members had, hands out the rest to whoever has least, and moves partitions only while one member
 * has two more than another that subscribes to the same topic. Each move makes the sum of the squares of the shares
 * smaller, so that there is an end.
 */
class StickyAssignment {
  private readonly shares: Share[]
  private readonly members: readonly AssignorMember[]
  private readonly topics: Array<{ topic: string; count: number; subscribers: Share[] }>

  constructor(members: readonly AssignorMember[], partitions: PartitionCounts) {
    this.members = members
    this.shares = inMemberOrder(members).map(({ memberId, topics }) => ({
      memberId,
      topics: new Set(topics),
      partitions: new Map(),
    }))
    this.topics = subscribedTopics(members, partitions).map(({ topic, count }) => ({
      topic,
      count,
      subscribers: this.shares.filter((share) => share.topics.has(topic)),
    }))
  }

  result(): GroupAssignment {
    const taken = this.keepOwned()
    // Those that fewest can take are handed out first.
    const scarce = [...this.topics].sort((a, b) => a.subscribers.length - b.subscribers.length)
    for (const { topic, count, subscribers } of scarce) {
      for (let partition = 0; partition < count; partition++) {
        const where = { topic, partition }
        if (!taken.has(nameOf(where))) smallest(subscribers).partitions.set(nameOf(where), where)
      }
    }
    while (this.moveToSmaller());
    const assignment = emptyAssignment(this.members)
    for (const { memberId, partitions } of this.shares) assignment.get(memberId)!.push(...partitions.values())
    return assignment
  }

  /** Of two who claim a partition the one of the later generation has it; of the same generation neither. */
  private keepOwned(): Set<string> {
    const counts = new Map(this.topics.map(({ topic, count }) => [topic, count]))
    const claims = new Map<string, { where: TopicPartition; generation: number; memberId: string | null }>()
    for (const { memberId, topics, owned, generation } of this.members) {
      for (const where of owned) {
        if (!topics.includes(where.topic) || where.partition >= (counts.get(where.topic) ?? 0)) continue
        const claim = claims.get(nameOf(where))
        if (claim === undefined || generation > claim.generation)
          claims.set(nameOf(where), { where, generation, memberId })
        else if (generation === claim.generation && claim.memberId !== memberId) claim.memberId = null
      }
    }
    const shares = new Map(this.shares.map((share) => [share.memberId, share]))
    const taken = new Set<string>()
    for (const [name, { where, memberId }] of claims) {
      if (memberId === null) continue
      shares.get(memberId)!.partitions.set(name, where)
      taken.add(name)
    }
    return taken
  }

  private moveToSmaller(): boolean {
    const subscribers = new Map(this.topics.map((topic) => [topic.topic, topic.subscribers]))
    let moved = false
    for (const from of [...this.shares].sort((a, b) => b.partitions.size - a.partitions.size)) {
      for (const [name, where] of from.partitions) {
        const to = smallest(subscribers.get(where.topic)!)
        if (to.partitions.size >= from.partitions.size - 1) continue
        from.partitions.delete(name)
        to.partitions.set(name, where)
        moved = true
      }
    }
    return moved
  }
}

function smallest(shares: readonly Share[]): Share {
  return shares.reduce((least, share) => (share.partitions.size < least.partitions.size ? share : least))
}
