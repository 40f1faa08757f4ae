/**
 * What administrators really run: kafkajs's and kafka-python's admin. Each reads more of an answer than our own tests do, and
 * stops at what it does not expect. Kafka's own commands are in the table of clients.
 */
import { join } from 'node:path'
import { Kafka, ConfigResourceTypes, logLevel } from 'kafkajs'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { mustRun } from '../support/children.js'
import { kafkaPython, needs } from '../support/clients.js'
import { cache } from '../support/tree.js'
import { BrokersUnderTest, brokersMissing } from './brokers-under-test.js'

const TIMEOUT = 120_000

let brokers: BrokersUnderTest

beforeAll(async () => {
  if (brokersMissing === null) brokers = await BrokersUnderTest.start()
})
beforeEach(({ skip }) => {
  if (brokersMissing !== null) skip(brokersMissing)
})

describe('kafkajs', () => {
  const withAdmin = async (work: (admin: ReturnType<Kafka['admin']>) => Promise<void>): Promise<void> => {
    const admin = new Kafka({ brokers: brokers.addresses, logLevel: logLevel.NOTHING }).admin()
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
      // The leader of a new partition learns of it behind the answer, and kafkajs does not ask again where it deletes.
      await vi.waitFor(() => admin.fetchTopicOffsets(topic), { timeout: 30_000 })
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '-1' }] })
      await admin.deleteTopics({ topics: [topic] })
      expect(await admin.listTopics()).not.toContain(topic)
      const wrong = [{ topic, configEntries: [{ name: 'nonsense', value: '1' }] }]
      await expect(admin.createTopics({ topics: wrong })).rejects.toThrow()
    })
  })

  test('describes the cluster', async () => {
    await withAdmin(async (admin) => {
      const { controller, brokers: there } = await admin.describeCluster()
      expect(there.map(({ port }) => `127.0.0.1:${port}`).sort()).toEqual(brokers.addresses.toSorted())
      expect(there.map(({ nodeId }) => nodeId)).toContain(controller)
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
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1], api_version_auto_timeout_ms=60_000)
admin.create_topics([NewTopic('python-admin', 1, len(sys.argv[1].split(',')), topic_configs={'cleanup.policy': 'compact,delete'})])
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
    const { stdout } = await mustRun(python, ['-c', script, brokers.bootstrapServers])
    expect(stdout.toString().trim().split('\n')).toEqual([
      "['compact,delete']",
      "['77'] ['delete']",
      '3',
      'False',
    ])
  },
)
