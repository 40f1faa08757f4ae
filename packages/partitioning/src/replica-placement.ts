import { level } from './leveling.js'
import type { Random } from './partitioner.js'
import { countRacks, keepsRacks } from './racks.js'
import { ReplicaLoad } from './replica-load.js'

/** A broker that may get replicas. */
export interface PlacementBroker {
  /** As the cluster numbers it. */
  readonly id: number
  /** Null for none. Brokers without one are one rack together, as in Kafka's own placement (KRaft's). */
  readonly rack: string | null
}

/** What {@link placeReplicas} goes by. */
export interface ReplicaPlacement {
  /** Those that may get replicas: alive, and not about to stop. */
  readonly brokers: readonly PlacementBroker[]
  /** How many partitions are to be placed. */
  readonly partitions: number
  /** How many replicas each of them gets. */
  readonly replicationFactor: number
  /** The replicas of those partitions that the topic has already, the preferred leader first. */
  readonly existing?: readonly (readonly number[])[] | ReplicaLoad
  /** The replicas of other topics. They decide between brokers that have as much of this one. */
  readonly others?: readonly (readonly number[])[] | ReplicaLoad
  /** With which broker to begin where several are as good. Default: always with the smallest id. */
  readonly random?: Random
}

/** What {@link replaceReplica} goes by. */
export interface ReplicaReplacement extends Pick<
  ReplicaPlacement,
  'brokers' | 'existing' | 'others' | 'random'
> {
  /** The partition's replicas as they are. */
  readonly replicas: readonly number[]
  /** The broker of `replicas` that another one takes the place of. */
  readonly leaving: number
}

/** The `code` of a {@link PlacementError}. */
export type PlacementErrorCode = 'VARVE_NO_PARTITIONS' | 'VARVE_INVALID_REPLICATION_FACTOR'

/**
 * Thrown where replicas cannot be placed: `VARVE_INVALID_REPLICATION_FACTOR` for fewer than one replica or more than there are
 * brokers, `VARVE_NO_PARTITIONS` for a number of partitions below 1. `VarveError.is` of `@varve/records` tells it too.
 */
export class PlacementError extends RangeError {
  /** Stable. */
  readonly code: PlacementErrorCode
  /** Another call is of no use until there are other brokers. */
  readonly retriable = false

  constructor(code: PlacementErrorCode, message: string) {
    super(message)
    this.code = code
  }

  /** `'PlacementError'`, also in code that was minified. */
  override get name(): string {
    return 'PlacementError'
  }

  get [Symbol.for('varve.error')](): true {
    return true
  }
}

/**
 * Chooses the brokers of new partitions: of each partition on as many racks as there are, and as evenly over them as it goes (KIP-36).
 * Within that the topic's replicas, and its preferred leaders, are spread so that no better spread exists: each broker has
 * as many as any other or one more, unless racks of different sizes or what the topic has already stand against it. Where
 * brokers are equal in that, the one that has less of other topics gets more.
 *
 * @returns for each partition its brokers, the preferred leader first
 * @throws PlacementError for fewer than one replica or partition, or more replicas than brokers
 */
export function placeReplicas(placement: ReplicaPlacement): number[][] {
  const { partitions, replicationFactor } = placement
  const brokers = inTurn(placement.brokers, placement.random)
  if (!Number.isSafeInteger(partitions) || partitions < 1)
    throw new PlacementError('VARVE_NO_PARTITIONS', `Cannot place the replicas of ${partitions} partitions`)
  if (
    !Number.isSafeInteger(replicationFactor) ||
    replicationFactor < 1 ||
    replicationFactor > brokers.length
  ) {
    throw new PlacementError(
      'VARVE_INVALID_REPLICATION_FACTOR',
      `Cannot place ${replicationFactor} replicas of a partition: there are ${brokers.length} brokers`,
    )
  }
  const existing = loadOf(placement.existing)
  const others = loadOf(placement.others)
  const load = countsOf(brokers, existing, others, 'replicasOn')
  const placed = Array.from({ length: partitions }, () => {
    const replicas = new Set<PlacementBroker>()
    while (replicas.size < replicationFactor) {
      const next = leastLoaded(brokers, replicas, load)
      replicas.add(next)
      load.own.set(next, load.own.get(next)! + 1)
    }
    return replicas
  })
  level(load.own, (from, each) => {
    for (const replicas of placed) {
      if (!replicas.has(from)) continue
      for (const to of brokers) {
        if (replicas.has(to) || !keepsRacks(replicas, from, to)) continue
        each(to, () => {
          replicas.delete(from)
          replicas.add(to)
        })
      }
    }
  })
  return withLeaders(brokers, placed, existing, others).map((replicas) => replicas.map(({ id }) => id))
}

/**
 * Puts another broker in the place of one replica, as a drain of that broker needs it; the others stay, in their order. The new one
 * is on a rack that the partition has least of, and there the one with the fewest replicas.
 *
 * @returns the partition's brokers, the preferred leader first
 * @throws PlacementError `VARVE_INVALID_REPLICATION_FACTOR` when no other broker is left
 */
export function replaceReplica(replacement: ReplicaReplacement): number[] {
  const { replicas, leaving } = replacement
  const brokers = inTurn(replacement.brokers, replacement.random)
  const kept = new Set(brokers.filter(({ id }) => id !== leaving && replicas.includes(id)))
  const candidates = brokers.filter((broker) => broker.id !== leaving && !kept.has(broker))
  if (candidates.length === 0) {
    throw new PlacementError(
      'VARVE_INVALID_REPLICATION_FACTOR',
      `Cannot replace broker ${leaving} among the replicas ${replicas.join(', ')}: there is no other broker`,
    )
  }
  const load = countsOf(brokers, loadOf(replacement.existing), loadOf(replacement.others), 'replicasOn')
  const { id } = leastLoaded(candidates, kept, load)
  return replicas.map((replica) => (replica === leaving ? id : replica))
}

/** By id, beginning anywhere. */
function inTurn(brokers: readonly PlacementBroker[], random: Random = () => 0): PlacementBroker[] {
  const sorted = [...brokers].sort((a, b) => a.id - b.id)
  const start = Math.floor(random() * sorted.length)
  return [...sorted.slice(start), ...sorted.slice(0, start)]
}

function loadOf(partitions: ReplicaPlacement['others'] = []): ReplicaLoad {
  return partitions instanceof ReplicaLoad ? partitions : new ReplicaLoad(partitions)
}

/** How many replicas, or leaders, each broker has. */
interface Counts {
  readonly own: Map<PlacementBroker, number>
  readonly others: ReadonlyMap<PlacementBroker, number>
}

function countsOf(
  brokers: readonly PlacementBroker[],
  existing: ReplicaLoad,
  others: ReplicaLoad,
  what: 'replicasOn' | 'preferredLeadersOn',
): Counts {
  const count = (load: ReplicaLoad): Map<PlacementBroker, number> =>
    new Map(brokers.map((broker) => [broker, load[what](broker.id)]))
  return { own: count(existing), others: count(others) }
}

function leastLoaded(
  brokers: readonly PlacementBroker[],
  replicas: ReadonlySet<PlacementBroker>,
  { own, others }: Counts,
): PlacementBroker {
  const onRack = countRacks(replicas)
  const rank = (broker: PlacementBroker): number[] => [
    onRack.get(broker.rack) ?? 0,
    own.get(broker)!,
    others.get(broker)!,
  ]
  return brokers
    .filter((broker) => !replicas.has(broker))
    .reduce((least, broker) => (isBefore(rank(broker), rank(least)) ? broker : least))
}

/** Puts a leader first, and behind it the others so that not all leaders of one broker have the same successor. */
function withLeaders(
  brokers: readonly PlacementBroker[],
  placed: readonly ReadonlySet<PlacementBroker>[],
  existing: ReplicaLoad,
  others: ReplicaLoad,
): PlacementBroker[][] {
  const load = countsOf(brokers, existing, others, 'preferredLeadersOn')
  const leaders = placed.map((replicas) => {
    const leader = leastLoaded([...replicas], new Set(), load)
    load.own.set(leader, load.own.get(leader)! + 1)
    return leader
  })
  level(load.own, (from, each) => {
    for (const [partition, replicas] of placed.entries()) {
      if (leaders[partition] !== from) continue
      for (const to of replicas) {
        each(to, () => {
          leaders[partition] = to
        })
      }
    }
  })
  const successions = new Map<string, number>()
  return placed.map((replicas, partition) => {
    const leader = leaders[partition]!
    const times = ({ id }: PlacementBroker): number => successions.get(`${leader.id} ${id}`) ?? 0
    const followers = brokers.filter((broker) => broker !== leader && replicas.has(broker))
    followers.sort((a, b) => times(a) - times(b))
    const next = followers[0]
    if (next !== undefined) successions.set(`${leader.id} ${next.id}`, times(next) + 1)
    return [leader, ...followers]
  })
}

/** Whether the first number in which they differ is less. */
export function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((number, index) => number !== b[index])
  return at >= 0 && a[at]! < b[at]!
}
