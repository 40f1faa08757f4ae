import { Command, CommanderError, Option } from 'commander'
import { configCommand, groupCommand, offsetsCommand, topicCommand } from './admin-commands.js'
import { clusterCommand } from './cluster-commands.js'
import { examples, kafkaScript, withBroker } from './command-options.js'
import { report } from './failure.js'
import { parts, recordParts } from './record-text.js'
import type { ConsumeOptions } from './consume.js'
import type { InspectOptions } from './inspect.js'
import type { LogAppendOptions } from './log-append.js'
import type { LogReadOptions } from './log-read.js'
import type { LogTailOptions } from './log-tail.js'
import type { ProduceOptions } from './produce.js'
import type { ServeOptions } from './serve-options.js'
import { optionOf, serveSettings } from './serve-settings.js'
import { acks, config, from, integer, level, logFrom, separator, settings } from './values.js'
import { version } from './version.js'

const USAGE_ERROR = 2

const durabilityOption = (): Option =>
  new Option(
    '--durability <policy>',
    'when a record is acknowledged: fsync (on disk) or os (in the page cache)',
  )
    .choices(['fsync', 'os'])
    .default('fsync')

const logFromOption = (): Option =>
  new Option(
    '--from <where>',
    'start, end, an offset, or a time such as 2026-01-31T12:00:00, in UTC if no zone is given',
  ).argParser(logFrom)

// Each command's code is loaded when it runs: a consumer should not wait for the broker's modules.
function serveCommand(): Command {
  const serve = new Command('serve').description("serve Kafka's protocol from a data directory")
  for (const setting of serveSettings) serve.addOption(optionOf(setting))
  return serve
    .option('--config-file <path>', 'YAML file with any of these, and with configurations of Kafka')
    .option(
      '-c, --config <name=value...>',
      "Kafka's configurations of a broker, such as log.retention.hours=24",
      config,
    )
    .addHelpText(
      'after',
      examples(
        'varve serve',
        'varve serve --port 9192 --data ./d',
        'varve serve --data /disk1/varve /disk2/varve',
        'varve serve --config log.retention.hours=24 --config compression.type=zstd',
        'varve serve --host 0.0.0.0 --advertised-listeners PLAINTEXT://kafka.example:9092',
        'varve serve --listeners SSL://0.0.0.0:9093 --ssl-cert broker.pem --ssl-key broker.key',
        'varve serve --brokers 4 --partitions 4',
        'varve serve --cluster etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379/varve --broker-id 1 --rack a',
      ),
    )
    .addHelpText(
      'after',
      '\nEach of these may also stand in the environment, as VARVE_MAX_CONNECTIONS=100, or in the file, as max-connections: 100.\nA flag counts above the environment, and that above the file.',
    )
    .action(async (options: ServeOptions) => (await import('./serve.js')).serve(options, serve))
}

function produceCommand(): Command {
  return withBroker(new Command('produce'))
    .description('send each line of standard input, or of a file, as a record')
    .argument('<topic>', 'topic to write to')
    .option('-f, --file <path>', 'read lines from a file')
    .option(
      '-k, --key-separator <text>',
      'what stands between key and value, such as : or \\t; lines without it have no key',
      separator,
    )
    .addOption(
      new Option(
        '--json',
        'each line is a record as consume --json prints it: key, value, headers, timestamp, partition; what was produced is printed as JSON too',
      ).conflicts('keySeparator'),
    )
    .addOption(
      new Option(
        '-H, --header <name=value>',
        'a header of every record; may be given several times',
      ).argParser(settings),
    )
    .option('-P, --partition <number>', 'write to this partition only', integer(0, 2_147_483_647))
    .addOption(
      new Option('--acks <acks>', 'wait for all replicas, for the leader (1) or for nobody (0)')
        .argParser(acks)
        .default(-1, 'all'),
    )
    .addOption(
      new Option('-z, --compression <codec>', 'compress batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .option('--compression-level <number>', 'gzip 1 to 9, lz4 1 to 17, zstd -131072 to 22', level)
    .option('--linger <ms>', 'how long a batch waits to fill', integer(0, 60_000), 5)
    .option('--batch-size <bytes>', 'how large a batch grows', integer(1, 1_048_576), 65_536)
    .option('-q, --quiet', 'no progress and no summary')
    .addHelpText(
      'after',
      examples(
        'echo hello | varve produce demo',
        'varve produce logs --file access.log --compression lz4',
        'varve produce users --key-separator : < users.txt',
      ) + kafkaScript('kafka-console-producer.sh'),
    )
    .action(async (topic: string, options: ProduceOptions) =>
      (await import('./produce.js')).produce(topic, options),
    )
}

function consumeCommand(): Command {
  return withBroker(new Command('consume'))
    .description('print the value of each record and a newline, up to the end of the topic as it is now')
    .argument('<topic>', 'topic to read from')
    .addOption(
      new Option(
        '--from <where>',
        'earliest, latest, an offset, or a time such as 2026-01-31T12:00:00, in UTC if no zone is given',
      )
        .argParser(from)
        .default({ at: 'earliest' }, 'earliest'),
    )
    .option('-f, --follow', 'go on with what arrives later')
    .addOption(
      new Option(
        '-g, --group <id>',
        'be a member of this group: share the partitions, go on from what it has committed, and follow',
      ).conflicts('partition'),
    )
    .option('-P, --partition <number>', 'read this partition only', integer(0, 2_147_483_647))
    .option('-n, --max <count>', 'stop after so many records', integer(1))
    .option(
      '--timeout <ms>',
      'stop when no record has come for so long, also in a group and with --follow',
      integer(1, 2_147_483_647),
    )
    .option('-k, --key-separator <text>', 'print the key and this before the value', separator)
    .addOption(
      new Option(
        '--with <parts>',
        `print these before the value, with tabs; several with commas: ${recordParts.join(', ')}`,
      )
        .argParser(parts)
        .conflicts('json'),
    )
    .addOption(new Option('--json', 'print each record as a line of JSON').conflicts('keySeparator'))
    .option('-q, --quiet', 'no progress and no summary')
    .addHelpText(
      'after',
      examples(
        'varve consume demo',
        'varve consume demo --from latest --follow',
        'varve consume demo --with timestamp,headers,key',
        'varve consume orders --group billing --timeout 10000',
        'varve consume users --partition 2 --from 1000 --max 10',
      ) + kafkaScript('kafka-console-consumer.sh'),
    )
    .action(async (topic: string, options: ConsumeOptions) =>
      (await import('./consume.js')).consume(topic, options),
    )
}

function logCommand(): Command {
  const log = new Command('log').description('append to and read a log in a directory, without a broker')
  log
    .command('append')
    .description('append each line of standard input, or of a file, as a record')
    .argument('<directory>', "the log's directory; made if missing")
    .option('-f, --file <path>', 'read lines from a file')
    .option(
      '-k, --key-separator <text>',
      'what stands between key and value, such as : or \\t; lines without it have no key',
      separator,
    )
    .addOption(
      new Option(
        '--json',
        'each line is a record as log read --json prints it: key, value, headers, timestamp; what was appended is printed as JSON too',
      ).conflicts('keySeparator'),
    )
    .addOption(durabilityOption())
    .option('-q, --quiet', 'no progress and no summary')
    .action(async (dir: string, options: LogAppendOptions) =>
      (await import('./log-append.js')).appendToLog(dir, options),
    )
  log
    .command('read')
    .description('print the value of each record and a newline, up to the end of the log')
    .argument('<directory>', "the log's directory")
    .addOption(logFromOption().default('start'))
    .option('-n, --count <count>', 'stop after so many records', integer(1))
    .option('--json', 'print each record as a line of JSON, with offset, timestamp, key and headers')
    .option('-k, --key-separator <text>', 'print the key and this before the value', separator)
    .option('-q, --quiet', 'no progress and no summary')
    .action(async (dir: string, options: LogReadOptions) =>
      (await import('./log-read.js')).readLog(dir, options),
    )
  log
    .command('tail')
    .description(
      'print records as another process appends them, until Ctrl-C; also those that are written and not yet durable, which a power loss may take',
    )
    .argument('<directory>', "the log's directory")
    .addOption(logFromOption().default('end'))
    .option('--json', 'print each record as a line of JSON, with offset, timestamp, key and headers')
    .option('-k, --key-separator <text>', 'print the key and this before the value', separator)
    .action(async (dir: string, options: LogTailOptions) =>
      (await import('./log-tail.js')).tailLog(dir, options),
    )
  log.addHelpText(
    'after',
    examples(
      'varve log append ./events --key-separator : < events.txt',
      'varve log read ./events --from 2026-01-31T12:00:00Z --count 10 --json',
      'varve log tail ./varve-data/demo-0 --from 2026-01-31T12:00:00Z',
    ),
  )
  return log
}

function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'look over the files of a log, or of every log in a data directory: batches, checksums, indexes',
    )
    .argument('<directory>', "a log's directory, or a data directory")
    .option('--repair', 'repair what can be; nobody may have the directory open')
    .option('--json', 'print what was found as JSON')
    .option('-q, --quiet', 'no progress, and nothing about logs without problems')
    .addHelpText(
      'after',
      `${examples('varve inspect ./varve-data', 'varve inspect ./varve-data/demo-0 --repair')}\n\nExit code 1 when there are problems, or were and are not repaired.`,
    )
    .action(async (dir: string, options: InspectOptions) =>
      (await import('./inspect.js')).inspectLogs(dir, options),
    )
}

const commands: Readonly<Record<string, () => Command>> = {
  serve: serveCommand,
  produce: produceCommand,
  consume: consumeCommand,
  topic: topicCommand,
  group: groupCommand,
  config: configCommand,
  cluster: clusterCommand,
  offsets: offsetsCommand,
  log: logCommand,
  inspect: inspectCommand,
}

/**
 * The whole command line, or as much of it as a line needs whose first word is given: a command waits for the declaration of no
 * other one.
 */
export function program(first = ''): Command {
  const varve = new Command('varve')
    .description("Kafka's commit log: a broker and its command line")
    .version(version(), '-V, --version')
    .addHelpText(
      'after',
      `${examples('varve serve', 'echo hello | varve produce demo', 'varve consume demo')}\n\nvarve <command> --help says more. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`,
    )
  const needed = Object.hasOwn(commands, first) ? [commands[first]!] : Object.values(commands)
  for (const command of needed) varve.addCommand(command())
  for (const command of [varve, ...varve.commands, ...varve.commands.flatMap((each) => each.commands)]) {
    command.exitOverride().showHelpAfterError('(--help shows what there is)')
  }
  return varve
}

/** `varve --help | head` closes the pipe when head has enough, which is not an error; anything else still is. */
function allowClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}

/** Runs a command line, without the names of Node and the script. Sets the exit code; never throws. */
export async function main(args: readonly string[]): Promise<void> {
  allowClosedPipes()
  try {
    await program(args[0]).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed it. Help that was asked for is no error.
      process.exitCode = error.exitCode === 0 ? 0 : USAGE_ERROR
      return
    }
    process.exitCode = report(error)
  }
}
