import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { answers } from './children.js'
import { cache } from './tree.js'

const folder = join(cache, 'kafka-tools-4.3.1')

/** Why Kafka's own tools cannot be used here, or null. */
export const kafkaToolsMissing =
  existsSync(join(folder, 'kafka-tools-4.3.1.jar')) && answers('java', ['-version'])
    ? null
    : "Kafka's tools or Java are not installed; install them with: npm run setup:conformance"

/** The command of one of Kafka's tools: a class of `org.apache.kafka.tools`. */
export function kafkaTool(name: string, ...args: string[]): readonly [command: string, ...args: string[]] {
  return ['java', '-Xmx256m', '-cp', join(folder, '*'), `org.apache.kafka.tools.${name}`, ...args]
}
