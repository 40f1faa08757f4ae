import { Argument, Command, Option } from 'commander'
import {
  examples,
  jsonOption,
  kafkaScript,
  noWaitOption,
  waitTimeoutOption,
  withBroker,
} from './command-options.js'
import type { AlterConfigOptions, DescribeConfigOptions, Entity } from './config.js'
import type { DeleteGroupOffsetsOptions } from './delete-group-offsets.js'
import type { DeleteRecordsOptions } from './delete-records.js'
import type { DescribeGroupOptions, GroupsOptions, ListGroupsOptions } from './group.js'
import type { OffsetsOptions } from './offsets.js'
import type { ResetOffsetsOptions } from './reset-offsets.js'
import type { AlterTopicOptions, CreateTopicOptions, DeleteTopicOptions } from './topic.js'
import {
  deletedBefore,
  duration,
  integer,
  offsetsAt,
  replicaAssignment,
  settings,
  several,
  signedInteger,
  time,
  topicPartitions,
  type TopicPartitions,
} from './values.js'
import type { AdminCommandOptions } from './with-admin.js'

/** The commands that look after a cluster. As everywhere, their code is loaded when they run. */

const partitionsOption = (description: string): Option =>
  new Option('--partitions <count>', description).argParser(integer(1, 10_000))

const configOption = (): Option =>
  new Option(
    '-c, --config <name=value>',
    'a setting, such as retention.ms=3600000; may be given several times',
  ).argParser(settings)

export function topicCommand(): Command {
  const topic = new Command('topic').description(
    'create, list, describe, alter and delete topics, and delete records',
  )
  withBroker(topic.command('create'))
    .description('create a topic')
    .argument('<name>', 'letters, digits, dots, hyphens and underscores')
    .addOption(partitionsOption("how many partitions; the broker's default if not given"))
    .option(
      '--replication-factor <count>',
      "how many copies; the broker's default if not given",
      integer(1, 32_767),
    )
    .addOption(
      new Option('--replicas <ids>', 'node ids of each partition, such as 0:1,1:0, instead of the two above')
        .argParser(replicaAssignment)
        .conflicts(['partitions', 'replicationFactor']),
    )
    .addOption(configOption())
    .option('--if-not-exists', 'be content if there is such a topic already')
    .addOption(jsonOption())
    .action(async (name: string, options: CreateTopicOptions) =>
      (await import('./topic.js')).createTopic(name, options),
    )
  withBroker(topic.command('list'))
    .description('list topics with their partitions')
    .addOption(jsonOption())
    .action(async (options: AdminCommandOptions) => (await import('./topic.js')).listTopics(options))
  withBroker(topic.command('describe'))
    .description('show leaders, replicas, offsets and settings of topics, of all if none is named')
    .argument('[names...]')
    .addOption(jsonOption())
    .action(async (names: string[], options: AdminCommandOptions) =>
      (await import('./topic.js')).describeTopics(names, options),
    )
  withBroker(topic.command('alter'))
    .description('give a topic more partitions, other replicas or other settings')
    .argument('<name>')
    .addOption(partitionsOption('how many partitions there shall be; there are never fewer'))
    .addOption(
      new Option(
        '--reassign <ids>',
        'node ids that shall have each partition, the preferred leader first, such as 0:1,1:2',
      )
        .argParser(replicaAssignment)
        .conflicts(['partitions', 'replicas', 'config', 'deleteConfig']),
    )
    .addOption(
      new Option('--replicas <ids>', 'node ids of each new partition, such as 0:1,1:0').argParser(
        replicaAssignment,
      ),
    )
    .addOption(noWaitOption())
    .addOption(waitTimeoutOption())
    .addOption(configOption())
    .addOption(
      new Option(
        '--delete-config <name>',
        'let a setting have its default again; may be given several times',
      ).argParser(several),
    )
    .addOption(jsonOption())
    .action(async (name: string, options: AlterTopicOptions) =>
      (await import('./topic.js')).alterTopic(name, options),
    )
  withBroker(topic.command('delete'))
    .description('delete topics with all their records')
    .argument('<names...>')
    .option('--if-exists', 'be content with those that are not there')
    .addOption(jsonOption())
    .action(async (names: string[], options: DeleteTopicOptions) =>
      (await import('./topic.js')).deleteTopics(names, options),
    )
  withBroker(topic.command('delete-records'))
    .description('delete the records before an offset, for good')
    .argument('[topics...]', 'topics, or some of their partitions as orders:0,1', topicPartitions, [])
    .addOption(
      new Option(
        '--before <where>',
        'an offset, latest for all records, or a time, in UTC if no zone is given',
      ).argParser(deletedBefore),
    )
    .addOption(
      new Option(
        '--offset-json-file <path>',
        'offsets by partition, as kafka-delete-records.sh takes them',
      ).conflicts('before'),
    )
    .addOption(jsonOption())
    .action(async (topics: TopicPartitions[], options: DeleteRecordsOptions) =>
      (await import('./delete-records.js')).deleteRecords(topics, options),
    )
  withBroker(topic.command('producers'))
    .description('show the idempotent and transactional producers that partitions remember')
    .argument('<topics...>', 'topics, or some of their partitions as orders:0,1', topicPartitions)
    .addOption(jsonOption())
    .action(async (topics: TopicPartitions[], options: AdminCommandOptions) =>
      (await import('./producers.js')).describeProducers(topics, options),
    )
  return topic.addHelpText(
    'after',
    `${examples(
      'varve topic create orders --partitions 6 --config retention.ms=3600000',
      'varve topic describe orders',
      'varve topic alter orders --partitions 12',
      'varve topic alter orders --reassign 1:2,2:3',
      'varve topic delete-records orders:0 --before 1000',
    )}${kafkaScript('kafka-topics.sh', 'kafka-delete-records.sh', 'kafka-transactions.sh')}`,
  )
}

export function groupCommand(): Command {
  const group = new Command('group').description('list, describe, move and delete groups of consumers')
  const allGroups = (): Option => new Option('--all-groups', 'all groups of consumers')
  withBroker(group.command('list'))
    .description('list groups with their states')
    .addOption(
      new Option(
        '--state <state>',
        'only groups in this state, such as Stable or Empty; may be given several times',
      ).argParser(several),
    )
    .addOption(jsonOption())
    .action(async (options: ListGroupsOptions) => (await import('./group.js')).listGroups(options))
  withBroker(group.command('describe'))
    .description('show how far a group is, and who reads what')
    .argument('[groups...]')
    .addOption(allGroups())
    .option('--members', 'show the members instead of the offsets')
    .addOption(jsonOption())
    .action(async (names: string[], options: DescribeGroupOptions) =>
      (await import('./group.js')).describeGroups(names, options),
    )
  withBroker(group.command('delete'))
    .description('forget groups without members, and their offsets')
    .argument('[groups...]')
    .addOption(allGroups())
    .addOption(jsonOption())
    .action(async (names: string[], options: GroupsOptions) =>
      (await import('./group.js')).deleteGroups(names, options),
    )
  withBroker(group.command('delete-offsets'))
    .description('forget what a group has committed for topics that it does not read any more')
    .argument('<group>')
    .addOption(
      new Option(
        '-t, --topic <topic>',
        'a topic, or some of its partitions as orders:0,1; may be given several times',
      )
        .argParser(topicPartitions)
        .makeOptionMandatory(),
    )
    .addOption(jsonOption())
    .action(async (name: string, options: DeleteGroupOffsetsOptions) =>
      (await import('./delete-group-offsets.js')).deleteGroupOffsets(name, options),
    )
  withBroker(group.command('reset-offsets'))
    .description('show where groups without members would go on, and with --execute have them go on there')
    .argument('[groups...]')
    .addOption(allGroups())
    .addOption(
      new Option(
        '-t, --topic <topic>',
        'a topic, or some of its partitions as orders:0,1; may be given several times',
      ).argParser(topicPartitions),
    )
    .option('--all-topics', 'everything that the group has committed')
    .option('--to-earliest', 'the first record')
    .option('--to-latest', 'the next one to come')
    .option('--to-current', 'where it is')
    .option('--to-offset <offset>', 'this offset', integer(0))
    .option('--to-datetime <time>', 'the first record as late as this, in UTC if no zone is given', time)
    .option('--by-duration <duration>', 'the first record of the last so much time, such as PT1H', duration)
    .option('--shift-by <count>', 'so many records on, or back', signedInteger)
    .addOption(
      new Option('--from-file <path>', 'what --export has written').conflicts(['topic', 'allTopics']),
    )
    .addOption(new Option('--dry-run', 'only show it, as without --execute').conflicts('execute'))
    .option('--execute', 'do it')
    .addOption(
      new Option(
        '--export',
        'print topic,partition,offset, with the group in front if there are several',
      ).conflicts('json'),
    )
    .addOption(jsonOption())
    .action(async (names: string[], options: ResetOffsetsOptions) =>
      (await import('./reset-offsets.js')).resetOffsets(names, options),
    )
  return group.addHelpText(
    'after',
    `${examples(
      'varve group describe billing',
      'varve group reset-offsets billing --topic orders --to-earliest --execute',
    )}${kafkaScript('kafka-consumer-groups.sh')}`,
  )
}

export function configCommand(): Command {
  const entity = (): Argument =>
    new Argument('<kind>', 'what has the settings').choices([
      'topic',
      'broker',
      'broker-default',
      'group',
      'client-metrics',
    ])
  const config = new Command('config').description(
    'describe and alter settings of topics, brokers and groups',
  )
  withBroker(config.command('describe'))
    .description('show what has been set, and with --all what it is otherwise')
    .addArgument(entity())
    .argument('[name]', "a topic, a group, or a broker's node id")
    .option('--all', 'defaults as well')
    .addOption(jsonOption())
    .action(async (kind: Entity, name: string | undefined, options: DescribeConfigOptions) =>
      (await import('./config.js')).describeConfig(kind, name, options),
    )
  const change = (flags: string, description: string): Option =>
    new Option(flags, `${description}; may be given several times`)
  withBroker(config.command('alter'))
    .description('change single settings; the others stay as they are')
    .addArgument(entity())
    .argument('[name]', "a topic, a group, or a broker's node id")
    .addOption(change('-s, --set <name=value>', 'give a setting this value').argParser(settings))
    .addOption(change('-d, --delete <name>', 'let it have its default again').argParser(several))
    .addOption(change('--append <name=value>', 'add to a setting that is a list').argParser(settings))
    .addOption(change('--subtract <name=value>', 'take out of a setting that is a list').argParser(settings))
    .option('--dry-run', 'only say whether it would work')
    .addOption(jsonOption())
    .action(async (kind: Entity, name: string | undefined, options: AlterConfigOptions) =>
      (await import('./config.js')).alterConfig(kind, name, options),
    )
  return config.addHelpText(
    'after',
    `${examples(
      'varve config describe topic orders --all',
      'varve config alter topic orders --set retention.ms=3600000 --delete segment.ms',
    )}${kafkaScript('kafka-configs.sh')}`,
  )
}

export function offsetsCommand(): Command {
  return withBroker(new Command('offsets'))
    .description('show where the partitions of topics begin and end, of all topics if none is named')
    .argument('[topics...]')
    .addOption(
      new Option(
        '--at <when>',
        'earliest, latest, max-timestamp, or the first record as late as a time, in UTC if no zone is given',
      ).argParser(offsetsAt),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples('varve offsets orders', 'varve offsets orders --at 2026-01-31T12:00:00Z')}${kafkaScript('kafka-get-offsets.sh')}`,
    )
    .action(async (topics: string[], options: OffsetsOptions) =>
      (await import('./offsets.js')).showOffsets(topics, options),
    )
}
