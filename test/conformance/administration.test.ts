/**
 * What administrators really run: Kafka's own commands, kafkajs's and kafka-python's admin. Each reads more of an answer
 * than our own tests do, and stops at what it does not expect.
 */
import { join } from 'node:path'
import { Kafka, ConfigResourceTypes, logLevel } from 'kafkajs'
import { beforeAll, describe, expect, test } from 'vitest'
import { BrokerProcess } from '../support/broker-process.js'
import { mustRun } from '../support/children.js'
import { kafkaPython, needs } from '../support/clients.js'
import { kafkaTool, kafkaToolsMissing } from '../support/kafka-tools.js'
import { cache, temporaryDirectory } from '../support/tree.js'

const TIMEOUT = 90_000

let broker: BrokerProcess

beforeAll(async () => {
  broker = await BrokerProcess.start(temporaryDirectory())
})

describe("Kafka's own commands", () => {
  const tool = async (name: string, ...args: string[]): Promise<string> => {
    const [java, ...command] = kafkaTool(name, '--bootstrap-server', broker.address, ...args)
    const { stdout } = await mustRun(java, command)
    return stdout.toString()
  }

  test('kafka-topics creates, describes, extends and deletes', { timeout: TIMEOUT }, async (context) => {
    if (kafkaToolsMissing !== null) context.skip(kafkaToolsMissing)
    const create = ['--create', '--topic', 'orders', '--partitions', '2', '--replication-factor', '1']
    expect(await tool('TopicCommand', ...create, '--config', 'cleanup.policy=compact')).toContain(
      'Created topic orders.',
    )
    expect(await tool('TopicCommand', '--describe', '--topic', 'orders')).toMatch(
      /Topic: orders\s+TopicId: \S{22}\s+PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: .*cleanup\.policy=compact/,
    )
    await tool('TopicCommand', '--alter', '--topic', 'orders', '--partitions', '3')
    expect(await tool('TopicCommand', '--describe', '--topic', 'orders')).toMatch(/Partition: 2\s+Leader: 0/)
    expect(await tool('TopicCommand', '--describe', '--under-replicated-partitions')).not.toContain('orders')
    await tool('TopicCommand', '--delete', '--topic', 'orders')
    expect((await tool('TopicCommand', '--list')).split('\n')).not.toContain('orders')
  })

  test(
    'kafka-log-dirs, kafka-metadata-quorum, kafka-leader-election and kafka-cluster understand the answers',
    { timeout: TIMEOUT },
    async (context) => {
      if (kafkaToolsMissing !== null) context.skip(kafkaToolsMissing)
      await tool(
        'TopicCommand',
        '--create',
        '--topic',
        'seen',
        '--partitions',
        '1',
        '--replication-factor',
        '1',
      )
      expect(await tool('LogDirsCommand', '--describe', '--topic-list', 'seen')).toContain(
        '"partition":"seen-0"',
      )
      const [java, ...quorum] = kafkaTool(
        'MetadataQuorumCommand',
        '--bootstrap-server',
        broker.address,
        'describe',
        '--status',
      )
      expect((await mustRun(java, quorum)).stdout.toString()).toMatch(/LeaderId:\s+0/)
      const election = ['--election-type', 'preferred', '--topic', 'seen', '--partition', '0']
      expect(await tool('LeaderElectionCommand', ...election)).toContain(
        'Valid replica already elected for partitions seen-0',
      )
      const [, ...cluster] = kafkaTool('ClusterTool', 'cluster-id', '--bootstrap-server', broker.address)
      expect((await mustRun(java, cluster)).stdout.toString()).toMatch(/Cluster ID: \S{22}/)
    },
  )
})

describe('kafkajs', () => {
  const withAdmin = async (work: (admin: ReturnType<Kafka['admin']>) => Promise<void>): Promise<void> => {
    const admin = new Kafka({
      brokers: [broker.address],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
    }).admin()
    await admin.connect()
    try {
      await work(admin)
    } finally {
      await admin.disconnect()
    }
  }

  test('creates, configures, extends, empties and deletes a topic', async () => {
    await withAdmin(async (admin) => {
      const topic = 'kafkajs-admin'
      const configEntries = [{ name: 'retention.ms', value: '1234567' }]
      expect(await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }] })).toBe(true)
      const valueOf = async (configName: string) => {
        const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [configName] }]
        const { resources: found } = await admin.describeConfigs({ resources, includeSynonyms: true })
        return found[0]!.configEntries.map(({ configName: name, configValue }) => [name, configValue])
      }
      expect(await valueOf('retention.ms')).toEqual([['retention.ms', '1234567']])
      const altered = [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: [{ name: 'segment.ms', value: '99' }],
        },
      ]
      await admin.alterConfigs({ validateOnly: false, resources: altered })
      // AlterConfigs gives everything else its default.
      expect([await valueOf('segment.ms'), await valueOf('retention.ms')]).toEqual([
        [['segment.ms', '99']],
        [['retention.ms', '604800000']],
      ])
      await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] })
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      expect(topics[0]!.partitions).toHaveLength(2)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '-1' }] })
      await admin.deleteTopics({ topics: [topic] })
      expect(await admin.listTopics()).not.toContain(topic)
      const wrong = [{ topic, configEntries: [{ name: 'nonsense', value: '1' }] }]
      await expect(admin.createTopics({ topics: wrong })).rejects.toThrow()
    })
  })

  test('describes the cluster', async () => {
    await withAdmin(async (admin) => {
      expect(await admin.describeCluster()).toMatchObject({ controller: 0, brokers: [{ nodeId: 0 }] })
    })
  })
})

test(
  "kafka-python's admin creates, configures and deletes a topic",
  { timeout: TIMEOUT },
  async (context) => {
    needs(context, kafkaPython)
    const script = `
import sys
from kafka.admin import KafkaAdminClient, NewTopic, ConfigResource, ConfigResourceType, NewPartitions
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
admin.create_topics([NewTopic('python-admin', 1, 1, topic_configs={'cleanup.policy': 'compact,delete'})])
def value(name):
    answers = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, 'python-admin', {name: None})])
    return [entry[1] for answer in answers for resource in answer.resources for entry in resource[4]]
print(value('cleanup.policy'))
admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, 'python-admin', {'retention.ms': '77'})])
print(value('retention.ms'), value('cleanup.policy'))
admin.create_partitions({'python-admin': NewPartitions(3)})
print(len(admin.describe_topics(['python-admin'])[0]['partitions']))
admin.delete_topics(['python-admin'])
print('python-admin' in admin.list_topics())
admin.close()
`
    const python = join(cache, 'python', 'bin', 'python')
    const { stdout } = await mustRun(python, ['-c', script, broker.address])
    expect(stdout.toString().trim().split('\n')).toEqual([
      "['compact,delete']",
      "['77'] ['delete']",
      '3',
      'False',
    ])
  },
)
