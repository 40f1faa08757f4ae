import { errors } from '@varve/protocol'
import { onTestFinished } from 'vitest'
import { ScriptedBroker, type ScriptedRequest } from '../../client/test/scripted-broker.js'
import { ScriptedLog } from '../../client/test/scripted-cluster.js'
import { runVarve, type Ran } from './run-varve.js'

export interface FakePartition {
  leader: number
  replicas: number[]
  isr: number[]
  /** Of a reassignment under way. */
  adding: number[]
  removing: number[]
  bytes: number
}

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

/**
 * Brokers 1, 2, … that agree on who has which partition, and move replicas when they are asked to: what the commands about clusters
 * need, so that a test says which state it is in and looks at which it has come to.
 */
export class FakeCluster {
  readonly brokers: ScriptedBroker[]
  readonly racks: ReadonlyArray<string | null>
  readonly topics: Record<string, FakePartition[]> = {}
  /** Topic settings. */
  readonly configs: Record<string, Record<string, string>> = {}
  readonly down = new Set<number>()
  /** By `topic-partition@broker`. */
  readonly logs = new Map<string, ScriptedLog & { startOffset?: number }>()
  /** The highest number of partitions that were under way at a time. */
  mostUnderWay = 0
  /** How often reassignments are listed until one has come to its end; Infinity for never. */
  patience = 2
  /** Partitions that no reassignment is accepted for. */
  readonly refused = new Set<string>()

  private constructor(brokers: ScriptedBroker[], racks: ReadonlyArray<string | null>) {
    this.brokers = brokers
    this.racks = racks
    for (const [index, broker] of brokers.entries()) {
      broker.on('Metadata', (request) => this.#metadata(request))
      broker.on('DescribeCluster', () => this.#describeCluster())
      broker.on('DescribeTopicPartitions', (request) => this.#describe(request))
      broker.on('ListPartitionReassignments', (request) => this.#list(request))
      broker.on('AlterPartitionReassignments', (request) => this.#alter(request))
      broker.on('ElectLeaders', (request) => this.#elect(request))
      broker.on('UnregisterBroker', ({ body }) => this.#unregister(body.brokerId))
      broker.on('DescribeConfigs', (request) => this.#describeConfigs(request))
      broker.on('DescribeLogDirs', () => this.#describeLogDirs(index + 1))
      broker.on('ListOffsets', (request) => this.#listOffsets(request, index + 1))
      broker.on('Fetch', (request) => this.#fetch(request, index + 1))
    }
  }

  /** @param racks one for each broker */
  static async start(...racks: Array<string | null>): Promise<FakeCluster> {
    const brokers = await Promise.all(racks.map(() => ScriptedBroker.start()))
    const cluster = new FakeCluster(brokers, racks)
    onTestFinished(async () => {
      await Promise.all(brokers.map((broker) => broker.stop()))
    })
    return cluster
  }

  /** Makes a topic with these replicas, led by the first of each, everything in sync. */
  topic(name: string, ...replicas: number[][]): FakePartition[] {
    return (this.topics[name] = replicas.map((ids) => ({
      leader: ids[0]!,
      replicas: ids,
      isr: [...ids],
      adding: [],
      removing: [],
      bytes: 1000,
    })))
  }

  /** Nothing answers there any more, and nothing is in sync there. */
  stop(nodeId: number): void {
    this.down.add(nodeId)
    for (const partition of Object.values(this.topics).flat()) {
      partition.isr = partition.isr.filter((id) => id !== nodeId)
      if (partition.leader === nodeId) partition.leader = partition.isr[0] ?? -1
    }
  }

  log(topic: string, partition: number, nodeId: number): ScriptedLog & { startOffset?: number } {
    const key = `${topic}-${partition}@${nodeId}`
    const log = this.logs.get(key) ?? new ScriptedLog()
    this.logs.set(key, log)
    return log
  }

  /** Where partitions are: `orders-0 1,2`. */
  get placement(): string[] {
    return Object.entries(this.topics).flatMap(([name, partitions]) =>
      partitions.map(({ replicas }, partition) => `${name}-${partition} ${replicas.join()}`),
    )
  }

  get preferred(): boolean[] {
    return Object.values(this.topics)
      .flat()
      .map(({ leader, replicas }) => leader === replicas[0])
  }

  async varve(args: string): Promise<Ran> {
    const up = this.brokers.filter((_, index) => !this.down.has(index + 1))
    return runVarve([...args.split(' '), '--broker', up.map(({ address }) => address).join()])
  }

  #nodes(): number[] {
    return this.brokers.map((_, index) => index + 1)
  }

  #found(topic: string, partition: number): FakePartition | undefined {
    return this.topics[topic]?.[partition]
  }

  #metadata({ body }: ScriptedRequest): any {
    const names: string[] = body.topics?.map(({ name }: any) => name) ?? Object.keys(this.topics)
    return {
      throttleTimeMs: 0,
      brokers: this.#nodes()
        .filter((nodeId) => !this.down.has(nodeId))
        .map((nodeId) => ({ nodeId, host: '127.0.0.1', port: this.brokers[nodeId - 1]!.port })),
      clusterId: 'fake',
      controllerId: this.#nodes().find((nodeId) => !this.down.has(nodeId)),
      topics: names.map((name) => ({
        errorCode: this.topics[name] === undefined ? errors.UNKNOWN_TOPIC_OR_PARTITION.code : 0,
        name,
        topicId: TOPIC_ID,
        partitions: (this.topics[name] ?? []).map(({ leader, replicas, isr }, partitionIndex) => ({
          errorCode: 0,
          partitionIndex,
          leaderId: leader,
          leaderEpoch: 3,
          replicaNodes: replicas,
          isrNodes: isr,
          offlineReplicas: [],
        })),
      })),
    }
  }

  #describeCluster(): any {
    const brokers = this.#nodes().map((brokerId) => ({
      brokerId,
      host: '127.0.0.1',
      port: this.brokers[brokerId - 1]!.port,
      rack: this.racks[brokerId - 1] ?? null,
      isFenced: this.down.has(brokerId),
    }))
    return { throttleTimeMs: 0, errorCode: 0, clusterId: 'fake', controllerId: 1, brokers }
  }

  #describe({ body }: ScriptedRequest): any {
    const topics = body.topics.map(({ name }: any) => ({
      errorCode: this.topics[name] === undefined ? errors.UNKNOWN_TOPIC_OR_PARTITION.code : 0,
      name,
      topicId: TOPIC_ID,
      partitions: (this.topics[name] ?? []).map(({ leader, replicas, isr }, partitionIndex) => ({
        errorCode: 0,
        partitionIndex,
        leaderId: leader,
        leaderEpoch: 3,
        replicaNodes: replicas,
        isrNodes: isr,
        eligibleLeaderReplicas: isr.length > 0 ? [] : replicas.slice(0, 1),
        lastKnownElr: [],
        offlineReplicas: replicas.filter((id) => this.down.has(id)),
      })),
    }))
    return { throttleTimeMs: 0, topics, nextCursor: null }
  }

  #underWay(): Array<[string, number, FakePartition]> {
    return Object.entries(this.topics).flatMap(([name, partitions]) =>
      partitions
        .map((partition, index): [string, number, FakePartition] => [name, index, partition])
        .filter(([, , { adding, removing }]) => adding.length + removing.length > 0),
    )
  }

  #list({ body }: ScriptedRequest): any {
    const wanted = new Set<string>(
      body.topics?.flatMap(({ name, partitionIndexes }: any) =>
        partitionIndexes.map((index: number) => `${name}-${index}`),
      ),
    )
    if (body.topics !== null && --this.patience <= 0) {
      this.patience = 2
      for (const [, , partition] of this.#underWay()) {
        partition.replicas = partition.replicas.filter((id) => !partition.removing.includes(id))
        partition.isr = [...partition.replicas]
        if (!partition.replicas.includes(partition.leader)) partition.leader = partition.replicas[0]!
        partition.adding = []
        partition.removing = []
      }
    }
    const found = this.#underWay().filter(
      ([name, index]) => body.topics === null || wanted.has(`${name}-${index}`),
    )
    return {
      throttleTimeMs: 0,
      errorCode: 0,
      errorMessage: null,
      topics: found.map(([name, partitionIndex, { replicas, adding, removing }]) => ({
        name,
        partitions: [{ partitionIndex, replicas, addingReplicas: adding, removingReplicas: removing }],
      })),
    }
  }

  #alter({ body }: ScriptedRequest): any {
    const responses = body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }: any) => ({
        partitionIndex,
        ...this.#reassign(name, partitionIndex, replicas),
      })),
    }))
    this.mostUnderWay = Math.max(this.mostUnderWay, this.#underWay().length)
    return { throttleTimeMs: 0, errorCode: 0, errorMessage: null, responses }
  }

  #reassign(topic: string, index: number, target: number[] | null): any {
    const partition = this.#found(topic, index)
    if (partition === undefined || this.refused.has(`${topic}-${index}`))
      return { errorCode: errors.INVALID_REPLICA_ASSIGNMENT.code, errorMessage: 'not so' }
    const original = partition.replicas.filter((id) => !partition.adding.includes(id))
    if (target === null) {
      partition.replicas = original
      partition.adding = []
      partition.removing = []
    } else {
      partition.adding = target.filter((id) => !original.includes(id))
      partition.removing = original.filter((id) => !target.includes(id))
      partition.replicas = [...target, ...partition.removing]
    }
    return { errorCode: 0, errorMessage: null }
  }

  #elect({ body }: ScriptedRequest): any {
    const all = Object.entries(this.topics).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map((_, index) => index),
    }))
    const results = (body.topicPartitions ?? all).map(({ topic, partitions }: any) => ({
      topic,
      partitionResult: partitions
        .map((partitionId: number) => ({
          partitionId,
          errorCode: this.#electOne(this.#found(topic, partitionId)!, body.electionType),
          errorMessage: null,
        }))
        .filter(
          ({ errorCode }: any) =>
            body.topicPartitions !== null || errorCode !== errors.ELECTION_NOT_NEEDED.code,
        ),
    }))
    return { throttleTimeMs: 0, errorCode: 0, replicaElectionResults: results }
  }

  #electOne(partition: FakePartition, type: number): number {
    const { replicas, isr, leader } = partition
    if (type === 1) {
      if (leader >= 0) return errors.ELECTION_NOT_NEEDED.code
      const next = replicas.find((id) => !this.down.has(id))
      if (next === undefined) return errors.ELIGIBLE_LEADERS_NOT_AVAILABLE.code
      partition.leader = next
      partition.isr = [next]
      return 0
    }
    if (leader === replicas[0]) return errors.ELECTION_NOT_NEEDED.code
    if (!isr.includes(replicas[0]!)) return errors.PREFERRED_LEADER_NOT_AVAILABLE.code
    partition.leader = replicas[0]!
    return 0
  }

  #unregister(nodeId: number): any {
    const { code } = errors.BROKER_ID_NOT_REGISTERED
    const isKnown = this.brokers[nodeId - 1] !== undefined
    return { throttleTimeMs: 0, errorCode: isKnown ? 0 : code, errorMessage: null }
  }

  #describeConfigs({ body }: ScriptedRequest): any {
    const results = body.resources.map(({ resourceType, resourceName, configurationKeys }: any) => ({
      errorCode: 0,
      errorMessage: null,
      resourceType,
      resourceName,
      configs: (configurationKeys ?? Object.keys(this.configs[resourceName] ?? {})).map((name: string) => ({
        name,
        value: this.configs[resourceName]?.[name] ?? (name === 'min.insync.replicas' ? '1' : 'delete'),
        readOnly: false,
        configSource: this.configs[resourceName]?.[name] === undefined ? 5 : 1,
        isSensitive: false,
        synonyms: [],
        configType: 2,
        documentation: null,
      })),
    }))
    return { throttleTimeMs: 0, results }
  }

  #describeLogDirs(nodeId: number): any {
    const topics = Object.entries(this.topics).map(([name, partitions]) => ({
      name,
      partitions: partitions
        .map(({ replicas, adding, bytes }, partitionIndex) => ({
          partitionIndex,
          replicas,
          partitionSize: adding.includes(nodeId) ? bytes / 4 : bytes,
          offsetLag: 0,
          isFutureKey: false,
        }))
        .filter(({ replicas }) => replicas.includes(nodeId)),
    }))
    const dir = { errorCode: 0, logDir: '/data', topics, totalBytes: 1, usableBytes: 1 }
    return { throttleTimeMs: 0, errorCode: 0, results: [dir] }
  }

  #listOffsets({ body }: ScriptedRequest, nodeId: number): any {
    const topics = body.topics.map(({ name, partitions }: any) => ({
      name,
      partitions: partitions.map(({ partitionIndex, timestamp }: any) => {
        const log = this.log(name, partitionIndex, nodeId)
        const offset = timestamp === -1 ? log.endOffset : (log.startOffset ?? 0)
        return { partitionIndex, errorCode: 0, timestamp: -1, offset }
      }),
    }))
    return { throttleTimeMs: 0, topics }
  }

  #fetch({ body }: ScriptedRequest, nodeId: number): any {
    const [name] = Object.keys(this.topics)
    const responses = body.topics.map(({ topic, topicId, partitions }: any) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes }: any) => {
        const log = this.log(name!, partition, nodeId)
        const isThere = fetchOffset >= (log.startOffset ?? 0) && fetchOffset <= log.endOffset
        return {
          partitionIndex: partition,
          errorCode: isThere ? 0 : errors.OFFSET_OUT_OF_RANGE.code,
          highWatermark: log.endOffset,
          lastStableOffset: log.endOffset,
          logStartOffset: log.startOffset ?? 0,
          abortedTransactions: [],
          records: isThere ? log.from(fetchOffset, partitionMaxBytes) : Buffer.alloc(0),
        }
      }),
    }))
    return { throttleTimeMs: 0, errorCode: 0, responses }
  }
}
