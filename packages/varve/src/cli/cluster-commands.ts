import { Command, Option } from 'commander'
import type { ImportOptions } from './cluster-import.js'
import type { UpOptions } from './cluster-up.js'
import type { LogDirsOptions } from './cluster.js'
import type { StatusOptions } from './cluster-status.js'
import {
  examples,
  jsonOption,
  kafkaScript,
  noWaitOption,
  waitTimeoutOption,
  withBroker,
} from './command-options.js'
import type { DrainOptions } from './drain.js'
import type { ElectLeadersOptions } from './elect-leaders.js'
import type { ReassignOptions } from './reassign.js'
import type { RebalanceOptions } from './rebalance.js'
import { optionOf, serveSettings, variableOf } from './serve-settings.js'
import type { UnregisterOptions } from './unregister.js'
import { brokerId, integer, nodeIds, topicPartitions, type TopicPartitions } from './values.js'
import type { VerifyOptions } from './verify.js'
import type { AdminCommandOptions } from './with-admin.js'

/** The commands about brokers and where replicas are. As everywhere, their code is loaded when they run. */

const TOPICS = 'topics, or some of their partitions as orders:0,1'

/** What every command takes that moves replicas. */
const withMoves = (command: Command): Command =>
  withBroker(command)
    .option('--dry-run', 'only show what would move')
    .addOption(noWaitOption())
    .addOption(waitTimeoutOption())
    .option('--batch <count>', 'how many partitions may move at a time', integer(1, 100_000), 50)
    .addOption(jsonOption())

function inspecting(cluster: Command): void {
  withBroker(cluster.command('status'))
    .description('show the brokers, and partitions that are offline, not in sync or being moved')
    .option('--all', 'all such partitions, not only the first 20')
    .option('--check', 'exit with 1 if anything is wrong')
    .addOption(jsonOption())
    .action(async (options: StatusOptions) => (await import('./cluster-status.js')).showStatus(options))
  withBroker(cluster.command('describe'))
    .description('show the id of the cluster, its controller and its brokers')
    .addOption(jsonOption())
    .action(async (options: AdminCommandOptions) => (await import('./cluster.js')).describeCluster(options))
  withBroker(cluster.command('log-dirs'))
    .description('show the data directories of brokers, and what takes how much room there')
    .addOption(
      new Option(
        '-t, --topic <topic>',
        'only what is there of a topic, or of some of its partitions as orders:0,1; may be given several times',
      ).argParser(topicPartitions),
    )
    .addOption(new Option('--node <id>', 'only this broker; may be given several times').argParser(nodeIds))
    .option('--partitions', 'show each partition')
    .addOption(jsonOption())
    .action(async (options: LogDirsOptions) => (await import('./cluster.js')).describeLogDirs(options))
  withBroker(cluster.command('verify'))
    .description(
      'compare the replicas of topics, of all if none is named, byte for byte; exit with 1 if they differ',
    )
    .argument('[topics...]', TOPICS, topicPartitions, [])
    .option('--timeout <ms>', 'how long a replica may take to catch up', integer(0, 2_147_483_647), 10_000)
    .addOption(jsonOption())
    .action(async (topics: TopicPartitions[], options: VerifyOptions) =>
      (await import('./verify.js')).verify(topics, options),
    )
}

function moving(cluster: Command): void {
  withMoves(cluster.command('drain'))
    .description('move all replicas of a broker to others, to take it away afterwards')
    .argument('<broker-id>', 'its node id', brokerId)
    .addOption(new Option('--cancel', 'end a drain that is under way').conflicts(['dryRun']))
    .action(async (id: number, options: DrainOptions) => (await import('./drain.js')).drain(id, options))
  withMoves(cluster.command('rebalance'))
    .description('give brokers equal numbers of replicas and leaders, moving as little as that takes')
    .action(async (options: RebalanceOptions) => (await import('./rebalance.js')).rebalance(options))
  withMoves(cluster.command('reassign'))
    .description('move the replicas of partitions as a file says')
    .option(
      '--reassignment-json-file <path>',
      'where each shall be, as kafka-reassign-partitions.sh takes it',
    )
    .addOption(
      new Option('--cancel', 'end what is under way: of the partitions in the file, or of all').conflicts([
        'dryRun',
      ]),
    )
    .action(async (options: ReassignOptions) => (await import('./reassign.js')).reassign(options))
  withBroker(cluster.command('reassignments'))
    .description('show the partitions whose replicas are being moved')
    .addOption(jsonOption())
    .action(async (options: AdminCommandOptions) =>
      (await import('./reassign.js')).listReassignments(options),
    )
  withBroker(cluster.command('elect-leaders'))
    .description('let preferred replicas lead, of all partitions if no topic is named')
    .argument('[topics...]', TOPICS, topicPartitions, [])
    .option('--unclean', 'where nobody leads: let a replica lead that is not in sync, and lose records')
    .option('--all', 'all topics, as without any named')
    .addOption(jsonOption())
    .action(async (topics: TopicPartitions[], options: ElectLeadersOptions) =>
      (await import('./elect-leaders.js')).electLeaders(topics, options),
    )
  withBroker(cluster.command('unregister'))
    .description('forget a broker that will not come back')
    .argument('<broker-id>', 'its node id', brokerId)
    .option('--force', 'even if it is up, or partitions have replicas there')
    .addOption(jsonOption())
    .action(async (id: number, options: UnregisterOptions) =>
      (await import('./unregister.js')).unregister(id, options),
    )
}

/** What a command needs to reach the store of a cluster, by the flags and variables that `varve serve` has. */
function withStore(command: Command): Command {
  for (const setting of serveSettings) {
    if (setting.name.startsWith('cluster')) command.addOption(optionOf(setting).env(variableOf(setting)))
  }
  return command
}

function beginning(cluster: Command): void {
  withStore(cluster.command('up'))
    .description('run a cluster on this machine, for development, until Ctrl-C')
    .option('--brokers <count>', 'how many brokers', integer(1, 100), 3)
    .option(
      '-d, --data <directory>',
      'where everything is kept; in a temporary directory, gone at the end, if not given',
    )
    .option(
      '-p, --port <port>',
      "the first broker's port, the others' behind it; 0 for any",
      integer(0, 65_436),
      9092,
    )
    .option('--racks <names...>', 'where they stand, one after the other')
    .addHelpText(
      'after',
      '\nEach broker has a process of its own over the etcd of --cluster, or over one that is started for them where etcd is installed.\nElse all of them share this process.',
    )
    .action(async (options: UpOptions) => (await import('./cluster-up.js')).clusterUp(options))
  withMoves(cluster.command('add'))
    .description('say how a new broker joins, and give one that has joined its share of the replicas')
    .argument('[broker-id]', 'its node id', brokerId)
    .action(async (id: number | undefined, options: RebalanceOptions) =>
      (await import('./cluster-add.js')).addBroker(id ?? null, options),
    )
  withStore(cluster.command('import'))
    .description('make a broker that is alone, and stopped, the first one of a new cluster')
    .requiredOption('-d, --data <directory...>', 'its data directory, or all of them')
    .addOption(
      new Option(
        '--brokers',
        'one of those that varve serve --brokers is to run in a process of its own, instead of --cluster',
      ).conflicts('cluster'),
    )
    .addOption(jsonOption())
    .action(async (options: ImportOptions) => (await import('./cluster-import.js')).importBroker(options))
}

export function clusterCommand(): Command {
  const cluster = new Command('cluster').description(
    'run brokers together, show how they and their replicas are, move replicas, compare them, elect leaders',
  )
  beginning(cluster)
  inspecting(cluster)
  moving(cluster)
  return cluster.addHelpText(
    'after',
    `${examples(
      'varve cluster up',
      'varve cluster import --data ./varve-data --cluster etcd://10.0.0.1:2379/varve',
      'varve cluster status --check',
      'varve cluster drain 3 --dry-run',
      'varve cluster rebalance',
      'varve cluster verify orders',
      'varve cluster log-dirs --partitions --topic orders',
    )}${kafkaScript('kafka-cluster.sh', 'kafka-log-dirs.sh', 'kafka-reassign-partitions.sh', 'kafka-leader-election.sh')}`,
  )
}
