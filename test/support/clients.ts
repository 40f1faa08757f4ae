/** The foreign clients, and whether they are installed here. `npm run setup:conformance` installs them on Debian. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Compression } from '@varve/records'
import type { TestContext } from 'vitest'
import { answers, mustRun } from './children.js'
import { kafkaTool, kafkaToolsMissing } from './kafka-tools.js'
import { cache, root, varve } from './tree.js'

export interface Client {
  readonly name: string
  /** Why the client cannot be used here, or null. */
  readonly missing: string | null
}

/** A client that writes the lines of a file to partition 0 of a topic, in order. */
export interface Writer extends Client {
  write(broker: string, topic: string, file: string, compression?: Compression): Promise<void>
  /** Writes `key:value` lines with the partitioner that Java's producer has by default. */
  writeKeyed(broker: string, topic: string, file: string): Promise<void>
}

/** A client that reads a partition from its first record to its end, each value followed by a newline. */
export interface Reader extends Client {
  read(broker: string, topic: string, partition?: number): Promise<Buffer>
}

/** A client that takes part in a consumer group. */
export interface GroupClient extends Client {
  /**
   * The command of a member that prints `PARTITION OFFSET VALUE` for each record (Java's tool in words of its own), from
   * the first one on unless the group has committed others, with a session of 6 s, and leaves on SIGTERM.
   */
  member(broker: string, group: string, topic: string): readonly [command: string, ...args: string[]]
}

const HOW = 'install it with: npm run setup:conformance'
const kcatMissing = answers('kcat', ['-V']) ? null : `kcat is not installed; ${HOW}`
const python = join(cache, 'python', 'bin', 'python')
const pythonMissing =
  existsSync(python) && answers(python, ['-c', 'import kafka, lz4, snappy, zstandard'])
    ? null
    : `kafka-python is not installed; ${HOW}`

const pythonScript = join(root, 'test', 'conformance', 'clients', 'kafka-python.py')
const kafkajsGroupScript = join(root, 'test', 'conformance', 'clients', 'kafkajs-group.mjs')
const varveGroupScript = join(root, 'test', 'conformance', 'clients', 'varve-group.mjs')
const kafkajsScript = join(root, 'test', 'conformance', 'clients', 'kafkajs-produce.mjs')

export const kcat: Writer & Reader & GroupClient = {
  name: 'kcat',
  missing: kcatMissing,
  async write(broker, topic, file, compression = 'none') {
    await mustRun('kcat', [
      '-P',
      '-b',
      broker,
      '-t',
      topic,
      '-p',
      '0',
      '-z',
      compression,
      '-X',
      'acks=all',
      '-l',
      file,
    ])
  },
  async writeKeyed(broker, topic, file) {
    await mustRun('kcat', [
      '-P',
      '-b',
      broker,
      '-t',
      topic,
      '-K',
      ':',
      '-X',
      'partitioner=murmur2_random',
      '-l',
      file,
    ])
  },
  async read(broker, topic, partition = 0) {
    const { stdout } = await mustRun('kcat', [
      '-C',
      '-b',
      broker,
      '-t',
      topic,
      '-p',
      String(partition),
      '-o',
      'beginning',
      '-e',
      '-q',
      '-D',
      '\n',
    ])
    return stdout
  },
  member: (broker, group, topic) => [
    'kcat',
    '-b',
    broker,
    // Unbuffered, and every record on a line of its own.
    '-u',
    '-q',
    '-f',
    '%p %o %s\n',
    '-X',
    'auto.offset.reset=earliest',
    '-X',
    'session.timeout.ms=6000',
    '-X',
    'heartbeat.interval.ms=300',
    '-X',
    'auto.commit.interval.ms=200',
    '-G',
    group,
    topic,
  ],
}

export const kafkaPython: Writer & Reader & GroupClient = {
  name: 'kafka-python',
  missing: pythonMissing,
  async write(broker, topic, file, compression = 'none') {
    await mustRun(python, [pythonScript, 'produce', broker, topic, file, compression])
  },
  async writeKeyed(broker, topic, file) {
    await mustRun(python, [pythonScript, 'produce-keyed', broker, topic, file])
  },
  async read(broker, topic, partition = 0) {
    return (await mustRun(python, [pythonScript, 'consume', broker, topic, String(partition)])).stdout
  },
  member: (broker, group, topic) => [python, pythonScript, 'group', broker, group, topic],
}

/** Our own consumer, which must get along with the others in one group. */
export const varveConsumer = (...assignors: string[]): GroupClient => ({
  name: ['varve', ...assignors].join('-'),
  missing: null,
  member: (broker, group, topic) => [process.execPath, varveGroupScript, broker, group, topic, ...assignors],
})

export const kafkajs: Writer & GroupClient = {
  name: 'kafkajs',
  missing: null,
  async write(broker, topic, file, compression = 'none') {
    await mustRun(process.execPath, [kafkajsScript, broker, topic, file, compression])
  },
  async writeKeyed(broker, topic, file) {
    await mustRun(process.execPath, [kafkajsScript, broker, topic, file, 'keyed'])
  },
  member: (broker, group, topic) => [process.execPath, kafkajsGroupScript, broker, group, topic],
}

/** Java's consumer, which rebalances cooperatively here (KIP-429). */
export const javaConsumer: GroupClient = {
  name: 'Java',
  missing: kafkaToolsMissing,
  member: (broker, group, topic) =>
    kafkaTool(
      'consumer.ConsoleConsumer',
      '--bootstrap-server',
      broker,
      '--topic',
      topic,
      '--group',
      group,
      '--from-beginning',
      ...['print.partition=true', 'print.offset=true'].flatMap((property) => [
        '--formatter-property',
        property,
      ]),
      ...[
        'session.timeout.ms=6000',
        'heartbeat.interval.ms=300',
        'auto.commit.interval.ms=200',
        'partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor',
      ].flatMap((property) => ['--command-property', property]),
    ),
}

export const ourselves: Writer & Reader = {
  name: 'varve',
  missing: null,
  async write(broker, topic, file, compression = 'none') {
    await mustRun(process.execPath, [
      varve,
      'produce',
      topic,
      '--broker',
      broker,
      '--partition',
      '0',
      '--compression',
      compression,
      '--file',
      file,
    ])
  },
  async writeKeyed(broker, topic, file) {
    await mustRun(process.execPath, [
      varve,
      'produce',
      topic,
      '--broker',
      broker,
      '--key-separator',
      ':',
      '--file',
      file,
    ])
  },
  async read(broker, topic, partition = 0) {
    return (
      await mustRun(process.execPath, [
        varve,
        'consume',
        topic,
        '--broker',
        broker,
        '--partition',
        String(partition),
        '--quiet',
      ])
    ).stdout
  },
}

/** Skips a test whose clients are not all installed, and says how to install them. */
export function needs(context: TestContext, ...clients: readonly Client[]): void {
  for (const { missing } of clients) if (missing !== null) context.skip(missing)
}
