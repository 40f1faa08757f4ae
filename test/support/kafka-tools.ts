import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { KAFKA_TOOLS } from '../../scripts/conformance-versions.mjs'
import { answers } from './children.js'
import { cache } from './tree.js'

const folder = join(cache, `kafka-tools-${KAFKA_TOOLS}`)

/** A class path of Kafka's tools, and of all that they need: the clients, too. */
export const kafkaToolsPath = join(folder, '*')

/** Why Kafka's own tools cannot be used here, or null. */
export const kafkaToolsMissing =
  existsSync(join(folder, `kafka-tools-${KAFKA_TOOLS}.jar`)) && answers('java', ['-version'])
    ? null
    : "Kafka's tools or Java are not installed; install them with: npm run setup:conformance"

/** The command of one of Kafka's tools: a class of `org.apache.kafka.tools`. */
export function kafkaTool(name: string, ...args: string[]): readonly [command: string, ...args: string[]] {
  // They end before what a better compiler or collector costs has paid off.
  const quickly = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
  return ['java', ...quickly, '-cp', kafkaToolsPath, `org.apache.kafka.tools.${name}`, ...args]
}
