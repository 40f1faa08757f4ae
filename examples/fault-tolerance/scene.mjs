/** Three brokers in this process, and one partition that is on all of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin, Consumer, startCluster } from 'varve'

export const TOPIC = 'payments'

/** @param {(scene: Scene) => Promise<void>} play */
export async function withScene(play) {
  const configs = { 'min.insync.replicas': 2 }
  const cluster = await startCluster({ brokers: 3, topics: { [TOPIC]: { partitions: 1, configs } } })
  const admin = new Admin({ brokers: cluster.addresses })
  try {
    await play(new Scene(cluster, admin))
  } finally {
    await admin.close()
    await cluster.close()
  }
}

export class Scene {
  /**
   * @param {import('varve').Cluster} cluster
   * @param {Admin} admin
   */
  constructor(cluster, admin) {
    this.cluster = cluster
    this.admin = admin
  }

  /** Who leads the partition, and which replicas are in sync with it. */
  async partition() {
    const [topic] = await this.admin.describeTopics([TOPIC])
    return /** @type {import('varve').PartitionMetadata} */ (topic?.partitions[0])
  }

  /** Waits until something is true of the partition, and returns it. */
  async until(isTrue) {
    for (;;) {
      const partition = await this.partition()
      if (await isTrue(partition)) return partition
      await sleep(10)
    }
  }

  /** Lets nothing reach the followers any more, as if the network between the brokers had failed. Returns who leads. */
  async cutOffFollowers() {
    const { leader, isr } = await this.partition()
    const faults = isr
      .filter((id) => id !== leader)
      .map((id) =>
        this.cluster.brokers.get(leader)?.faults.inject({
          api: 'Fetch',
          clientId: `varve-broker-${id}`,
          times: Infinity,
          error: 'NOT_LEADER_OR_FOLLOWER',
        }),
      )
    // What a follower had asked for before is answered by then.
    await Promise.all(faults.map((fault) => fault?.waitForHits()))
    return leader
  }

  /** How many records there are for consumers, or how many a broker has written, committed or not. */
  async written(replicaOn) {
    const query = /** @type {const} */ ({ topic: TOPIC, partition: 0, timestamp: 'latest' })
    const [end] = await this.admin.listOffsets([query], { replicaOn })
    return end?.offset ?? 0
  }

  /** All that consumers find. */
  async values() {
    const consumer = new Consumer({ brokers: this.cluster.addresses })
    consumer.assign([{ topic: TOPIC, partition: 0, offset: 0, end: await this.written() }])
    /** @type {string[]} */
    const values = []
    for await (const { value } of consumer) values.push(String(value))
    await consumer.close()
    return values
  }
}
