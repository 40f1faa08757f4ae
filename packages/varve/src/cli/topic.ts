import { Admin } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { Failure } from './failure.js'

export interface TopicOptions {
  broker: string[]
}

export interface CreateTopicOptions extends TopicOptions {
  partitions?: number
  replicationFactor?: number
}

async function withAdmin<T>(brokers: string[], use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ brokers, clientId: 'varve-topic' })
  try {
    return await use(admin)
  } catch (error) {
    throw brokerFailure(error, brokers)
  } finally {
    await admin.close()
  }
}

const partitionsText = (count: number): string => `${count} ${count === 1 ? 'partition' : 'partitions'}`

export async function createTopic(
  name: string,
  { broker, partitions, replicationFactor }: CreateTopicOptions,
): Promise<void> {
  await withAdmin(broker, async (admin) => {
    try {
      const [created] = await admin.createTopics([{ name, partitions, replicationFactor }])
      // Brokers before version 5 of CreateTopics do not say how many it became.
      process.stdout.write(
        `Created ${name}${created!.partitions > 0 ? ` with ${partitionsText(created!.partitions)}` : ''}\n`,
      )
    } catch (error) {
      if ((error as { kafkaName?: string }).kafkaName !== 'TOPIC_ALREADY_EXISTS') throw error
      throw new Failure(`there is a topic ${name} already. varve topic list shows its partitions`, {
        cause: error,
      })
    }
  })
}

export async function listTopics({ broker }: TopicOptions): Promise<void> {
  await withAdmin(broker, async (admin) => {
    const topics = await admin.listTopics()
    const width = Math.max(0, ...topics.map(({ name }) => name.length))
    for (const { name, partitions } of topics)
      process.stdout.write(`${name.padEnd(width)}  ${partitionsText(partitions.length)}\n`)
    if (topics.length === 0 && process.stderr.isTTY) process.stderr.write('There are no topics yet.\n')
  })
}
