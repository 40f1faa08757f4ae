/**
 * The clients of the table in docs/protocol-support.md, and what is in the way of what they cannot do. Each has a program of
 * `programs` that is told a broker and cells, and does them with default settings.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import {
  AIOKAFKA,
  CONFLUENT_KAFKA,
  KAFKA_PYTHON,
  KAFKA_TOOLS,
  PLATFORMATIC_KAFKA,
} from '../../../scripts/conformance-versions.mjs'
import { KAFKA, kafkaIsInstalled, kafkaJars } from '../../../scripts/kafka-broker.mjs'
import { answers } from '../../support/children.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { nodes } from '../../support/nodes.js'
import { cache, root } from '../../support/tree.js'

export const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type Codec = (typeof codecs)[number]

/** What a cell that is no codec is about, as the table calls it. */
export const cellTitles = {
  large: '900 KB, and too much',
  idempotent: 'Idempotent',
  group: 'Group of three',
  reset: 'Earliest, latest, gone',
  administration: 'Topics, configs, records, log directories',
  groups: 'Groups and their offsets',
} as const
export type Cell = keyof typeof cellTitles
export const cells = Object.keys(cellTitles) as Cell[]

/** The cells of Kafka's tools: which ones, and what they are asked. */
export const toolCells = {
  topics: [
    'kafka-topics',
    '--create --config, --describe, --under-replicated-partitions, --alter, --list, --delete',
  ],
  configs: ['kafka-configs', '--add-config, --delete-config, --describe, --all of a topic and of a broker'],
  records: ['kafka-get-offsets, kafka-delete-records', '--time latest, earliest, max-timestamp and a time'],
  consoleConsumer: [
    'kafka-console-consumer',
    '--partition, --offset, --max-messages, --timeout-ms, --include',
  ],
  consumerGroups: [
    'kafka-consumer-groups, kafka-groups',
    '--list, --describe, --state, --members --verbose, --all-groups, --delete, --delete-offsets; --reset-offsets with --to-earliest, --to-latest, --to-offset, --to-current, --to-datetime, --by-duration, --shift-by, --from-file, --export, --dry-run, --execute',
  ],
  cluster: [
    'kafka-broker-api-versions, kafka-log-dirs, kafka-metadata-quorum, kafka-leader-election, kafka-cluster, kafka-transactions, kafka-reassign-partitions, kafka-client-metrics, kafka-features',
    'what they describe or list',
  ],
  performance: ['kafka-producer-perf-test, kafka-consumer-perf-test', '5,000 records'],
} as const
export type ToolCell = keyof typeof toolCells

export interface TableClient {
  /** Its name, with which those of its topics begin: `NAME-CODEC` has the records of a codec. */
  readonly name: string
  /** What the table calls it, if not by its name. */
  readonly title?: string
  /** As its program prints it, or printed it when the table was written if it is the system's. */
  readonly version: string
  readonly isOfTheSystem?: boolean
  readonly command: readonly [program: string, ...args: string[]]
  readonly isInstalled: () => boolean
  /** Those that it has without further packages. */
  readonly codecs: readonly Codec[]
  /** What is in the way of cells that it cannot do. */
  readonly lacks?: Readonly<Partial<Record<Cell, string>>>
  /** What a cell that passes comprises, if not all. */
  readonly partly?: Readonly<Partial<Record<Cell | 'records', string>>>
  /** The cells that `npm test` does, of the client that is always there; all of all clients are minutes. */
  readonly quick?: readonly (Codec | Cell | ToolCell)[]
  /** Those that it alone has, in a table of their own. */
  readonly own?: readonly ToolCell[]
}

const program = (file: string): string => join(root, 'test', 'conformance', 'client-table', 'programs', file)

const python = join(cache, 'python', 'bin', 'python')
const pythonHas = (modules: string): boolean =>
  existsSync(python) && answers(python, ['-c', `import ${modules}`])
// Python would leave compiled modules beside the programs.
const pythonProgram = (file: string): [string, ...string[]] => [python, '-B', program(file)]

const goModule = readFileSync(program(join('go', 'go.mod')), 'utf8')

const goClient = (name: string, module: string) => {
  const binary = join(cache, 'go-clients', name)
  return {
    name,
    version: new RegExp(`${module} v(\\S+)`).exec(goModule)![1]!,
    command: [binary] as const,
    isInstalled: () => existsSync(binary),
    codecs,
  }
}

const platformatic = join(cache, 'platformatic')
// It wants 24.6 or newer.
const newerNode = nodes.find(({ version }) => version.startsWith('v24.'))!

export const tableClients: readonly TableClient[] = [
  {
    name: 'confluent-kafka',
    version: `${CONFLUENT_KAFKA} (librdkafka 2.16.0)`,
    command: pythonProgram('confluent-kafka.py'),
    isInstalled: () => pythonHas('confluent_kafka'),
    codecs,
    partly: {
      administration: 'without log directories',
      groups: 'without deleting offsets and removing members',
    },
  },
  {
    name: 'kcat',
    version: '1.7.1 (librdkafka 2.0.2)',
    isOfTheSystem: true,
    command: [process.execPath, program('kcat.mjs')],
    isInstalled: () => answers('kcat', ['-V']),
    codecs,
    lacks: { administration: 'it has no such calls', groups: 'it has no such calls' },
  },
  {
    name: 'java',
    version: KAFKA,
    command: [
      'java',
      '-Xmx256m',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
      '-cp',
      join(kafkaJars, '*'),
      program('Java.java'),
    ],
    isInstalled: () => kafkaIsInstalled() && answers('java', ['-version']),
    codecs,
  },
  {
    name: 'kafka-python',
    version: KAFKA_PYTHON,
    command: pythonProgram('kafka-python.py'),
    isInstalled: () => pythonHas('kafka, lz4, snappy, zstandard'),
    codecs,
    partly: {
      records: 'without null headers, which it refuses',
      administration: 'without log directories, of which it knows a version that Kafka 4 has no more',
      groups: 'without deleting offsets and removing members',
    },
  },
  {
    name: 'aiokafka',
    version: AIOKAFKA,
    command: pythonProgram('aio-kafka.py'),
    isInstalled: () => pythonHas('aiokafka, cramjam'),
    codecs,
    partly: {
      groups: 'without deleting anything and removing members',
      administration: 'without log directories',
    },
  },
  {
    name: 'kafkajs',
    version: (createRequire(import.meta.url)('kafkajs/package.json') as { version: string }).version,
    command: [process.execPath, program('kafkajs.mjs')],
    isInstalled: () => true,
    codecs: ['none', 'gzip'],
    partly: {
      records: 'without null headers',
      administration: 'without log directories',
      groups: 'without deleting offsets and removing members',
    },
    quick: ['none', 'gzip', 'idempotent', 'administration'],
  },
  {
    name: 'platformatic-kafka',
    version: PLATFORMATIC_KAFKA,
    command: [newerNode.node, program('platformatic-kafka.mjs'), platformatic],
    isInstalled: () =>
      newerNode.missing === null && existsSync(join(platformatic, 'node_modules', '@platformatic', 'kafka')),
    codecs,
    partly: { group: 'passed; some records twice, by fetches from before a rebalance' },
  },
  {
    ...goClient('franz-go', 'github.com/twmb/franz-go'),
  },
  goClient('sarama', 'github.com/IBM/sarama'),
  {
    ...goClient('kafka-go', 'github.com/segmentio/kafka-go'),
    lacks: { idempotent: 'it has no such producer' },
    partly: {
      large: 'passed with acks of all; by default it waits for no answer',
      administration: 'without deleting records and log directories',
      groups: 'without removing members',
    },
  },
  {
    name: 'kafka-tools',
    title: "Kafka's command line tools",
    version: KAFKA_TOOLS,
    command: [
      process.execPath,
      program('kafka-tools.mjs'),
      KAFKA_TOOLS,
      'java',
      '-Xmx256m',
      // They live for a second.
      '-XX:TieredStopAtLevel=1',
      '-XX:+UseSerialGC',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
      '-cp',
      // What went wrong is logged, and there is a logger among the broker's jars.
      [kafkaToolsPath, join(kafkaJars, '*')].join(delimiter),
    ],
    isInstalled: () => kafkaToolsMissing === null && kafkaIsInstalled(),
    codecs,
    lacks: { administration: 'below, by tool', groups: 'below, by tool' },
    own: Object.keys(toolCells) as ToolCell[],
  },
]

/** Every cell that a client can do. */
export const allCells = (client: TableClient): (Codec | Cell | ToolCell)[] => [
  ...client.codecs,
  ...cells.filter((cell) => client.lacks?.[cell] === undefined),
  ...(client.own ?? []),
]
