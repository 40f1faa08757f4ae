/**
 * What operators of a cluster run: Kafka's own tools, which move replicas and leaders and look at what came of it. Those that only
 * look at a broker are in the table of clients.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admin } from '@varve/client/admin'
import { expect, test } from 'vitest'
import { TestCluster } from '../../packages/broker/test/cluster/support/test-cluster.js'
import { mustRun } from '../support/children.js'
import { kafkaTool, kafkaToolsMissing } from '../support/kafka-tools.js'
import { temporaryDirectory } from '../support/tree.js'

const TIMEOUT = 180_000

test.skipIf(kafkaToolsMissing !== null)(
  "Kafka's tools move a partition and its leader, and tell of quorum, brokers and replicas",
  { timeout: TIMEOUT },
  async () => {
    await using cluster = await TestCluster.start()
    await using admin = new Admin({ brokers: cluster.addresses })
    await admin.createTopics([{ name: 'orders', replicas: [[1, 2]] }])
    const at = ['--bootstrap-server', cluster.addresses.join(',')]
    const run = async (name: string, ...args: string[]): Promise<string> => {
      const [command, ...all] = kafkaTool(name, ...args)
      return (await mustRun(command, all)).stdout.toString()
    }
    const file = join(temporaryDirectory(), 'plan.json')
    const partitions = [{ topic: 'orders', partition: 0, replicas: [3, 2] }]
    await writeFile(file, JSON.stringify({ version: 1, partitions }))
    const reassign = (action: string, ...more: string[]): Promise<string> =>
      run('reassign.ReassignPartitionsCommand', ...at, action, '--reassignment-json-file', file, ...more)
    const rates = async (): Promise<string[]> => {
      const described = await Promise.all(
        [1, 2, 3].map((nodeId) => admin.describeConfigs([{ type: 'broker', name: String(nodeId) }])),
      )
      return described
        .flat()
        .flatMap(({ entries }) =>
          entries.filter(({ name }) => name.endsWith('throttled.rate')).map(({ value }) => value!),
        )
    }
    const started = await reassign('--execute', '--throttle', '50000000')
    expect(started).toContain('The inter-broker throttle limit was set to 50000000 B/s')
    expect(started).toContain('Successfully started partition reassignment for orders-0')
    expect(await rates()).toEqual(Array.from({ length: 6 }, () => '50000000'))
    await cluster.until(async () => (await admin.listPartitionReassignments()).length === 0)
    expect(await reassign('--verify')).toContain('Reassignment of partition orders-0 is completed.')
    expect(await rates()).toEqual([])
    await run('LeaderElectionCommand', ...at, '--election-type', 'preferred', '--all-topic-partitions')
    expect(await run('TopicCommand', ...at, '--describe', '--topic', 'orders')).toMatch(
      /Partition: 0\s+Leader: 3\s+Replicas: 3,2/,
    )
    const { controllerId } = await admin.describeCluster()
    expect(await run('MetadataQuorumCommand', ...at, 'describe', '--status')).toMatch(
      new RegExp(`LeaderId: +${controllerId}\\b`),
    )
    const endpoints = await run('ClusterTool', 'list-endpoints', ...at, '--include-fenced-brokers')
    for (const { port } of cluster.brokers.values())
      expect(endpoints).toMatch(new RegExp(`${port} .*unfenced`))
    expect(await run('LogDirsCommand', ...at, '--describe')).toContain('from brokers 1,2,3')
  },
)
