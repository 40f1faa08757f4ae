import type { Admin, ConfigChange, PartitionDescription } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { count } from './counted.js'
import { Each } from './each.js'
import { Failure } from './failure.js'
import { reassignTo } from './reassign.js'
import { printJson, table } from './table.js'
import { withAdmin, kafkaNameOf, type AdminCommandOptions } from './with-admin.js'
import type { Setting } from './values.js'

export interface CreateTopicOptions extends AdminCommandOptions {
  partitions?: number
  replicationFactor?: number
  replicas?: number[][]
  config?: Setting[]
  ifNotExists?: boolean
}

export interface AlterTopicOptions extends AdminCommandOptions {
  partitions?: number
  /** Of each partition that is added. */
  replicas?: number[][]
  /** Of each that there is. */
  reassign?: number[][]
  wait: boolean
  timeout?: number
  config?: Setting[]
  deleteConfig?: string[]
}

export interface DeleteTopicOptions extends AdminCommandOptions {
  ifExists?: boolean
}

export async function createTopic(name: string, options: CreateTopicOptions): Promise<void> {
  const { partitions, replicationFactor, replicas, config, ifNotExists, json } = options
  const configs = Object.fromEntries((config ?? []).map((setting) => [setting.name, setting.value]))
  await withAdmin(options, async (admin) => {
    try {
      const [created] = await admin.createTopics([{ name, partitions, replicationFactor, replicas, configs }])
      if (json) printJson(created)
      // Brokers before version 5 of CreateTopics do not say how many it became.
      else
        process.stdout.write(
          `Created ${name}${created!.partitions > 0 ? ` with ${count(created!.partitions, 'partition')}` : ''}\n`,
        )
    } catch (error) {
      if (kafkaNameOf(error) !== 'TOPIC_ALREADY_EXISTS') throw error
      if (!ifNotExists)
        throw new Failure(`there is a topic ${name} already. varve topic describe ${name} shows it`, {
          cause: error,
        })
      if (json) printJson(null)
      else process.stdout.write(`There is a topic ${name} already\n`)
    }
  })
}

export async function listTopics(options: AdminCommandOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const topics = (await admin.listTopics()).map(({ name, topicId, isInternal, partitions }) => ({
      name,
      topicId,
      isInternal,
      partitions: partitions.length,
      replicationFactor: Math.max(0, ...partitions.map(({ replicas }) => replicas.length)),
    }))
    if (options.json) return printJson(topics)
    if (topics.length === 0) {
      if (process.stderr.isTTY) process.stderr.write('There are no topics yet.\n')
      return
    }
    process.stdout.write(
      table(
        [
          { head: 'TOPIC', cell: ({ name }) => name },
          { head: 'PARTITIONS', right: true, cell: ({ partitions }) => partitions },
          { head: 'REPLICAS', right: true, cell: ({ replicationFactor }) => replicationFactor },
        ],
        topics,
      ),
    )
  })
}

export async function describeTopics(names: string[], options: AdminCommandOptions): Promise<void> {
  await withAdmin(
    options,
    async (admin) => {
      const all = names.length === 0 ? (await admin.listTopics()).map(({ name }) => name) : names
      const topics = await descriptions(admin, all)
      if (options.json) return printJson(topics)
      process.stdout.write(topics.map(topicText).join('\n'))
    },
    names[0],
  )
}

interface DescribedTopic {
  readonly name: string
  readonly topicId: string | null
  readonly configs: Readonly<Record<string, string | null>>
  readonly partitions: ReadonlyArray<
    PartitionDescription & { readonly startOffset: number; readonly endOffset: number }
  >
}

async function descriptions(admin: Admin, names: readonly string[]): Promise<DescribedTopic[]> {
  const topics = await admin.describeTopicPartitions(names)
  const settings = await admin.describeConfigs(names.map((name) => ({ type: 'topic', name })))
  const led = topics.flatMap(({ name, partitions }) =>
    partitions.filter(({ leader }) => leader >= 0).map(({ partition }) => ({ topic: name, partition })),
  )
  const offsets = async (timestamp: 'earliest' | 'latest') => {
    const found = await admin.listOffsets(led.map((where) => ({ ...where, timestamp })))
    return new Map(found.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]))
  }
  const [starts, ends] = [await offsets('earliest'), await offsets('latest')]
  return topics.map(({ name, topicId, partitions }, index) => {
    const own = settings[index]!.entries.filter(({ source }) => source === 'topic')
    return {
      name,
      topicId,
      configs: Object.fromEntries(own.map((entry) => [entry.name, entry.value])),
      partitions: partitions.map(({ partition, ...described }) => ({
        partition,
        ...described,
        startOffset: starts.get(`${name}-${partition}`) ?? -1,
        endOffset: ends.get(`${name}-${partition}`) ?? -1,
      })),
    }
  })
}

function topicText({ name, topicId, configs, partitions }: DescribedTopic): string {
  const settings = Object.entries(configs).map(([setting, value]) => `  ${setting}=${value}\n`)
  return (
    `${name}  ${count(partitions.length, 'partition')}${topicId === null ? '' : `, id ${topicId}`}\n` +
    settings.join('') +
    table(
      [
        { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
        { head: 'LEADER', right: true, cell: ({ leader }) => (leader < 0 ? null : leader) },
        { head: 'EPOCH', right: true, cell: ({ leaderEpoch }) => (leaderEpoch < 0 ? null : leaderEpoch) },
        { head: 'REPLICAS', cell: ({ replicas }) => replicas.join(',') },
        { head: 'ISR', cell: ({ isr }) => isr.join(',') },
        { head: 'ELR', cell: ({ eligibleLeaderReplicas }) => eligibleLeaderReplicas?.join(',') ?? null },
        { head: 'OFFLINE', cell: ({ offlineReplicas }) => offlineReplicas.join(',') },
        { head: 'START', right: true, cell: ({ startOffset }) => (startOffset < 0 ? null : startOffset) },
        { head: 'END', right: true, cell: ({ endOffset }) => (endOffset < 0 ? null : endOffset) },
      ],
      partitions,
      '  ',
    )
  )
}

export async function alterTopic(name: string, options: AlterTopicOptions): Promise<void> {
  const { partitions, replicas, reassign, config = [], deleteConfig = [], json } = options
  if (reassign !== undefined) return reassignTopic(name, reassign, options)
  if (replicas !== undefined && partitions === undefined)
    throw new Failure('--replicas are those of new partitions. Give --partitions too, or --reassign', {
      exitCode: 2,
    })
  const changes: ConfigChange[] = [
    ...config.map((setting) => ({ operation: 'set' as const, ...setting })),
    ...deleteConfig.map((setting) => ({ operation: 'delete' as const, name: setting })),
  ]
  if (partitions === undefined && changes.length === 0)
    throw new Failure(
      'there is nothing to change. Give --partitions, --reassign, --config or --delete-config',
      {
        exitCode: 2,
      },
    )
  await withAdmin(
    options,
    async (admin) => {
      // Nothing is changed where one of the two cannot be.
      if (changes.length > 0 && partitions !== undefined)
        await admin.createPartitions([{ topic: name, count: partitions, replicas }], { validateOnly: true })
      if (changes.length > 0) await admin.alterConfigs([{ type: 'topic', name, changes }])
      if (partitions !== undefined)
        await admin.createPartitions([{ topic: name, count: partitions, replicas }])
      if (json) printJson((await descriptions(admin, [name]))[0])
      else process.stdout.write(`Changed ${name}\n`)
    },
    name,
  )
}

async function reassignTopic(name: string, replicas: number[][], options: AlterTopicOptions): Promise<void> {
  await withAdmin(
    options,
    async (admin) => {
      const [topic] = await admin.describeTopics([name])
      const there = topic!.partitions.length
      if (there !== replicas.length)
        throw new Failure(
          `${name} has ${count(there, 'partition')}, and --reassign names the replicas of ${replicas.length}`,
        )
      const plan = replicas.map((ids, partition) => ({ topic: name, partition, replicas: ids }))
      await reassignTo(admin, plan, { ...options, batch: plan.length })
    },
    name,
  )
}

export async function deleteTopics(names: string[], options: DeleteTopicOptions): Promise<void> {
  const { ifExists, json, broker } = options
  await withAdmin(options, async (admin) => {
    const known = ifExists ? new Set((await admin.listTopics()).map(({ name }) => name)) : undefined
    const outcome = await Each.of(
      known === undefined ? names : names.filter((name) => known.has(name)),
      async (name) => {
        await admin.deleteTopics([name])
        if (!json) process.stdout.write(`Deleted ${name}\n`)
        return name
      },
      (error, name) => brokerFailure(error, broker, name),
    )
    if (json) printJson({ deleted: outcome.done, failed: outcome.failed })
    outcome.report()
  })
}
