import type { Random } from './random.js'

/** What may break. A seed picks some of them, so that rare ones meet without being drowned by frequent ones. */
export const faultKinds = [
  'crash',
  'power loss',
  'disk replacement',
  'second process',
  'pause',
  'shutdown',
  'cut',
  'split',
  'slow link',
  'loss',
  'reordering',
  'duplication',
  'clock',
  'store leader',
  'store slow',
  'store unreachable',
  'store stale',
  'store compaction',
  'lease expiry',
  'failed flush',
  'full disk',
  'slow disk',
] as const
export type FaultKind = (typeof faultKinds)[number]

/** What an administrator does meanwhile. */
export const operationKinds = [
  'create topic',
  'delete topic',
  'add partitions',
  'delete records',
  'minimum',
  'reassign',
  'replication factor',
  'cancel reassignment',
  'preferred election',
  'leader changes',
  'unclean election',
  'drain',
  'unregister',
] as const
export type OperationKind = (typeof operationKinds)[number]

export interface ScenarioTopic {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly minInsyncReplicas: number
  /** Rather any leader than none (`unclean.leader.election.enable`). */
  readonly isUnclean?: boolean
}

/** Everything about a run that is decided before it begins; all of it follows from the seed. */
export interface Scenario {
  readonly brokers: number
  readonly racks: number
  readonly durability: 'os' | 'fsync'
  readonly topics: readonly Omit<ScenarioTopic, 'name'>[]
  readonly producers: number
  readonly consumers: number
  readonly replicaLagTimeMaxMs: number
  readonly leaseTtlSeconds: number
  /** For how long faults begin; what they broke is mended then, and the cluster has to recover. */
  readonly faultsMs: number
  /** The mean time between two faults. */
  readonly meanFaultMs: number
  /** How often one follows at once upon a commit of the store, and meets its answer and the events of it on their way. */
  readonly faultAtCommitChance: number
  readonly faults: readonly FaultKind[]
  /** Whether they often strike where it hurts: the controller, a leader, or who has just had an ISR changed. */
  readonly isAimed: boolean
  /** Records in a second from each leader to replicas that are not in sync. */
  readonly throttle: number
  /** Whether what a broker reads first of the store may be behind. */
  readonly startsStale: boolean
  readonly operations: readonly OperationKind[]
  readonly meanOperationMs: number
}

export function drawScenario(random: Random): Scenario {
  const isWide = random.chance(0.1)
  const brokers = random.pick(isWide ? [5, 6, 7] : [3, 3, 3, 4, 5, 5, 6, 7])
  const topics = Array.from({ length: random.pick([1, 1, 2]) }, (): Omit<ScenarioTopic, 'name'> => {
    const isUnclean = random.chance(0.1)
    const replicationFactor = Math.min(brokers, isWide ? 5 : random.pick([1, 2, 3, 3, 3, 3, 4, 5]))
    return {
      partitions: random.pick([1, 1, 2]),
      replicationFactor,
      minInsyncReplicas: Math.min(
        replicationFactor,
        isWide ? 3 : isUnclean ? 1 : random.pick([1, 2, 2, 2, 3]),
      ),
      isUnclean,
    }
  })
  return {
    brokers,
    racks: random.int(1, 3),
    durability: random.pick(['os', 'fsync']),
    topics,
    producers: random.int(1, 3),
    consumers: random.int(1, 2),
    replicaLagTimeMaxMs: random.pick([1500, 3000, 6000]),
    leaseTtlSeconds: random.pick([2, 3, 5]),
    faultsMs: random.pick([8_000, 15_000, 25_000]),
    meanFaultMs: random.pick([400, 1000, 2500]),
    faultAtCommitChance: random.pick([0, 0, 0.03, 0.1]),
    faults: faultKinds.filter(() => random.chance(0.45)),
    isAimed: random.chance(0.5),
    throttle: random.pick([Infinity, Infinity, 400, 100]),
    startsStale: random.chance(0.3),
    operations: operationKinds.filter((kind) => random.chance(kind === 'unclean election' ? 0.1 : 0.3)),
    meanOperationMs: random.pick([1500, 4000]),
  }
}
