import { level } from './leveling.js'
import { countRacks, keepsRacks } from './racks.js'
import { ReplicaLoad } from './replica-load.js'
import { isBefore, PlacementError, type PlacementBroker } from './replica-placement.js'

/** A partition, and which brokers have it. */
export interface PartitionReplicas {
  /** The topic's name. */
  readonly topic: string
  /** The partition's number. */
  readonly partition: number
  /** The ids of its brokers, the preferred leader first. */
  readonly replicas: readonly number[]
}

/** What {@link rebalanceReplicas} goes by. */
export interface ReplicaRebalance {
  /** Those that may get replicas: alive, and not about to stop. What other brokers have stays there. */
  readonly brokers: readonly PlacementBroker[]
  /** All partitions of the cluster. */
  readonly partitions: readonly PartitionReplicas[]
}

/** What {@link drainReplicas} goes by. */
export interface ReplicaDrain extends ReplicaRebalance {
  /** The broker that shall have no replicas any more. It may be among `brokers`, or gone. */
  readonly leaving: number
}

/**
 * Moves all replicas of one broker to others, and nothing else: each to a rack that the partition has least of, and within that so that
 * no choice leaves the brokers with more equal numbers of replicas. Where the broker was the preferred leader, that goes to
 * the replica whose broker leads least.
 *
 * @returns the partitions that change, with their brokers from then on
 * @throws PlacementError `VARVE_INVALID_REPLICATION_FACTOR` where a partition has a replica on every other broker already
 */
export function drainReplicas({ brokers, partitions, leaving }: ReplicaDrain): PartitionReplicas[] {
  const moving = new ReplicaMovement(
    brokers.filter(({ id }) => id !== leaving),
    partitions,
  )
  return moving.drain(leaving)
}

/**
 * Moves as few replicas as it takes until each partition is on as many racks as there are, and the brokers have equal numbers of replicas, or one
 * more, unless racks of different sizes stand against it. Which replica of a broker moves is chosen so that those of a topic come
 * to lie on different brokers. Then preferred leaders are made equal in number too, which moves nothing.
 *
 * @returns the partitions that change, with their brokers from then on; where only the order changes, no records move
 */
export function rebalanceReplicas({ brokers, partitions }: ReplicaRebalance): PartitionReplicas[] {
  return new ReplicaMovement(brokers, partitions).rebalance()
}

interface Movable {
  readonly source: PartitionReplicas
  readonly replicas: number[]
  /** Those of its brokers that may get replicas. */
  readonly on: Set<PlacementBroker>
}

class ReplicaMovement {
  readonly #brokers: readonly PlacementBroker[]
  readonly #partitions: readonly Movable[]
  readonly #ofTopics = new Map<string, ReplicaLoad>()
  readonly #load: Map<PlacementBroker, number>
  readonly #byBroker: Map<PlacementBroker, Set<Movable>>

  constructor(brokers: readonly PlacementBroker[], partitions: readonly PartitionReplicas[]) {
    this.#brokers = [...brokers].sort((a, b) => a.id - b.id)
    const byId = new Map(brokers.map((broker) => [broker.id, broker]))
    this.#load = new Map(this.#brokers.map((broker) => [broker, 0]))
    this.#byBroker = new Map(this.#brokers.map((broker) => [broker, new Set()]))
    this.#partitions = partitions.map((source) => {
      const on = new Set(source.replicas.flatMap((id) => byId.get(id) ?? []))
      const movable = { source, replicas: [...source.replicas], on }
      this.#ofTopic(source.topic).add(source.replicas)
      for (const broker of on) {
        this.#load.set(broker, this.#load.get(broker)! + 1)
        this.#byBroker.get(broker)!.add(movable)
      }
      return movable
    })
  }

  drain(leaving: number): PartitionReplicas[] {
    const affected = this.#partitions.filter(({ replicas }) => replicas.includes(leaving))
    const placedOn = new Map<Movable, PlacementBroker>()
    for (const movable of affected) {
      const { source, replicas, on } = movable
      const candidates = this.#brokers.filter((broker) => !on.has(broker))
      if (candidates.length === 0) {
        throw new PlacementError(
          'VARVE_INVALID_REPLICATION_FACTOR',
          `Cannot take broker ${leaving} out of ${source.topic}-${source.partition}, which has the replicas ${replicas.join(', ')}: there is no other broker`,
        )
      }
      const to = this.#leastLoaded(candidates, on, source.topic)
      this.#replace(movable, leaving, to)
      this.#load.set(to, this.#load.get(to)! + 1)
      placedOn.set(movable, to)
    }
    level(this.#load, (from, each) => {
      for (const movable of affected) {
        if (placedOn.get(movable) !== from) continue
        for (const to of this.#brokers) {
          if (movable.on.has(to) || !keepsRacks(movable.on, from, to)) continue
          each(to, () => {
            this.#replace(movable, from.id, to)
            placedOn.set(movable, to)
          })
        }
      }
    })
    this.#levelLeaders(affected.filter(({ source }) => source.replicas[0] === leaving))
    return this.#changed()
  }

  rebalance(): PartitionReplicas[] {
    for (const movable of this.#partitions) this.#spreadOverRacks(movable)
    level(this.#load, (from, each) => {
      const best = new Map<PlacementBroker, { movable: Movable; rank: readonly number[] }>()
      for (const movable of this.#byBroker.get(from)!) {
        for (const to of this.#brokers) {
          if (movable.on.has(to) || !keepsRacks(movable.on, from, to)) continue
          const rank = this.#rankOfMove(movable, from, to)
          const known = best.get(to)
          if (known === undefined || isBefore(rank, known.rank)) best.set(to, { movable, rank })
        }
      }
      for (const [to, { movable }] of best) each(to, () => this.#replace(movable, from.id, to))
    })
    this.#levelLeaders(this.#partitions)
    return this.#changed()
  }

  #ofTopic(topic: string): ReplicaLoad {
    const known = this.#ofTopics.get(topic) ?? new ReplicaLoad()
    this.#ofTopics.set(topic, known)
    return known
  }

  #leastLoaded(
    candidates: readonly PlacementBroker[],
    on: ReadonlySet<PlacementBroker>,
    topic: string,
  ): PlacementBroker {
    const onRack = countRacks(on)
    const rank = (broker: PlacementBroker): number[] => [
      onRack.get(broker.rack) ?? 0,
      this.#load.get(broker)!,
      this.#ofTopic(topic).replicasOn(broker.id),
    ]
    return candidates.reduce((least, broker) => (isBefore(rank(broker), rank(least)) ? broker : least))
  }

  /** First what costs least: a replica that was moved already moves on for nothing, and home for less. */
  #rankOfMove({ source }: Movable, from: PlacementBroker, to: PlacementBroker): number[] {
    const ofTopic = this.#ofTopic(source.topic)
    const cost = Number(!source.replicas.includes(to.id)) - Number(!source.replicas.includes(from.id))
    return [cost, ofTopic.replicasOn(to.id) - ofTopic.replicasOn(from.id)]
  }

  #replace(movable: Movable, from: number, to: PlacementBroker): void {
    const { source, replicas, on } = movable
    const ofTopic = this.#ofTopic(source.topic)
    ofTopic.remove(replicas)
    replicas[replicas.indexOf(from)] = to.id
    ofTopic.add(replicas)
    for (const broker of on) {
      if (broker.id !== from) continue
      on.delete(broker)
      this.#byBroker.get(broker)!.delete(movable)
    }
    on.add(to)
    this.#byBroker.get(to)!.add(movable)
  }

  #spreadOverRacks(movable: Movable): void {
    const { on, source } = movable
    for (;;) {
      const onRack = countRacks(on)
      const candidates = this.#brokers.filter((broker) => !on.has(broker))
      if (candidates.length === 0 || on.size === 0) return
      const to = this.#leastLoaded(candidates, on, source.topic)
      const crowding = (broker: PlacementBroker): number[] => [
        -onRack.get(broker.rack)!,
        -this.#load.get(broker)!,
      ]
      const from = [...on].reduce((most, broker) =>
        isBefore(crowding(broker), crowding(most)) ? broker : most,
      )
      if (onRack.get(from.rack)! - (onRack.get(to.rack) ?? 0) < 2) return
      this.#replace(movable, from.id, to)
      this.#load.set(from, this.#load.get(from)! - 1)
      this.#load.set(to, this.#load.get(to)! + 1)
    }
  }

  /** Of the leaders of these partitions; the others keep theirs. */
  #levelLeaders(partitions: readonly Movable[]): void {
    const leads = new Map<PlacementBroker, Set<Movable>>(this.#brokers.map((broker) => [broker, new Set()]))
    const load = new Map(this.#brokers.map((broker) => [broker, 0]))
    const mayChange = new Set(partitions)
    for (const movable of this.#partitions) {
      const leader = [...movable.on].find(({ id }) => id === movable.replicas[0])
      if (leader === undefined) continue
      load.set(leader, load.get(leader)! + 1)
      if (mayChange.has(movable)) leads.get(leader)!.add(movable)
    }
    level(load, (from, each) => {
      for (const movable of leads.get(from)!) {
        for (const to of movable.on) {
          if (to === from) continue
          each(to, () => {
            leads.get(from)!.delete(movable)
            leads.get(to)!.add(movable)
            const { replicas } = movable
            replicas.unshift(...replicas.splice(replicas.indexOf(to.id), 1))
          })
        }
      }
    })
  }

  #changed(): PartitionReplicas[] {
    return this.#partitions
      .filter(({ source, replicas }) => replicas.some((id, index) => id !== source.replicas[index]))
      .map(({ source, replicas }) => ({ topic: source.topic, partition: source.partition, replicas }))
  }
}
