import { Admin } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { type BrokerFlags, clientOptions } from './client-options.js'
import { Failure } from './failure.js'

export type TopicOptions = BrokerFlags

export interface CreateTopicOptions extends TopicOptions {
  partitions?: number
  replicationFactor?: number
}

async function withAdmin<T>(flags: BrokerFlags, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin(clientOptions(flags, 'varve-topic'))
  try {
    return await use(admin)
  } catch (error) {
    throw brokerFailure(error, flags.broker)
  } finally {
    await admin.close()
  }
}

const partitionsText = (count: number): string => `${count} ${count === 1 ? 'partition' : 'partitions'}`

export async function createTopic(
  name: string,
  { partitions, replicationFactor, ...flags }: CreateTopicOptions,
): Promise<void> {
  await withAdmin(flags, async (admin) => {
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

export async function listTopics(options: TopicOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const topics = await admin.listTopics()
    const width = Math.max(0, ...topics.map(({ name }) => name.length))
    for (const { name, partitions } of topics)
      process.stdout.write(`${name.padEnd(width)}  ${partitionsText(partitions.length)}\n`)
    if (topics.length === 0 && process.stderr.isTTY) process.stderr.write('There are no topics yet.\n')
  })
}
