/** The programs that are at work while a cluster is being broken; see `clients`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { answers } from '../../support/children.js'
import type { Client } from '../../support/clients.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { cache, root } from '../../support/tree.js'

export interface ClientProgram extends Client {
  readonly command: readonly [string, ...string[]]
}

const clients = join(root, 'test', 'cluster', 'rounds', 'clients')
const python = join(cache, 'python', 'bin', 'python')

export const varve: ClientProgram = {
  name: 'varve',
  missing: null,
  command: [process.execPath, join(clients, 'varve.mjs'), 'work'],
}

const librdkafka: ClientProgram = {
  name: 'librdkafka',
  missing:
    existsSync(python) && answers(python, ['-c', 'import confluent_kafka'])
      ? null
      : 'confluent-kafka is not installed; install it with: npm run setup:conformance',
  command: [python, join(clients, 'librdkafka.py')],
}

export const java: ClientProgram = {
  name: 'java',
  missing: kafkaToolsMissing,
  command: [
    'java',
    '-Xmx192m',
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    '-cp',
    kafkaToolsPath,
    join(clients, 'Java.java'),
  ],
}

/** Not for clusters that are broken for long. */
export const kafkajs: ClientProgram = {
  name: 'kafkajs',
  missing: null,
  command: [process.execPath, join(clients, 'kafkajs.mjs')],
}

export const clientPrograms: readonly ClientProgram[] = [varve, librdkafka, java]

/** Reads everything once nothing is written any more: `BROKERS TOPIC PARTITIONS HISTORY`. */
export const finalReader: readonly [string, ...string[]] = [
  process.execPath,
  join(clients, 'varve.mjs'),
  'read',
]
