import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { answers, mustRun } from './children.js'
import { cache, root } from './tree.js'

/** The newest Kafka whose message classes are published. */
export const KAFKA_VERSION = '4.4.0'

const directory = join(cache, `kafka-messages-${KAFKA_VERSION}`)
const install = 'install them with: npm run setup:conformance'

/** Why Kafka's schema files cannot be asked, or null. */
export const schemasMissing = existsSync(directory)
  ? null
  : `the jars of Kafka ${KAFKA_VERSION} are not here; ${install}`

/** Why Kafka's classes cannot be asked, or null. */
export const classesMissing =
  schemasMissing ??
  (answers('java', ['-version']) ? null : `there is no Java to run Kafka's classes; ${install}`)

const jars = () =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.jar'))
    .map((name) => join(directory, name))

/** Kafka's schema of a message, without its comments. */
export function schemaText(name: string): string {
  const path = `common/message/${name}.json`
  for (const jar of jars().filter((file) => file.includes('kafka-'))) {
    try {
      const text = execFileSync('unzip', ['-p', jar, path], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      return text.replaceAll(/^\s*\/\/.*$/gm, '')
    } catch (error) {
      // 11: the jar has no such file.
      if ((error as { status?: number }).status !== 11) throw error
    }
  }
  throw new Error(`none of the jars in ${directory} has ${path}`)
}

/** Values in the JSON form of Kafka's converters, each of a message and a version. */
export interface Sample {
  readonly message: string
  readonly version: number
  readonly value: unknown
}

/** Runs a Java program of one file with Kafka's classes, and returns the lines that it prints. */
export async function withKafkaClasses(program: string, input = ''): Promise<string[]> {
  const { stdout } = await mustRun('java', ['-cp', jars().join(delimiter), join(root, program)], { input })
  return stdout.toString().trim().split('\n')
}

/** The samples with the bytes that Kafka's classes write for them, as `hex`. */
export async function writtenByKafka<S extends Sample>(
  samples: readonly S[],
): Promise<(S & { readonly hex: string })[]> {
  const input = samples.map((sample) => `${JSON.stringify(sample)}\n`).join('')
  const lines = await withKafkaClasses('packages/protocol/test/golden/KafkaMessages.java', input)
  return lines.map((line) => JSON.parse(line) as S & { hex: string })
}
