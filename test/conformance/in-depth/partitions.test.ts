/**
 * Order holds per partition, and a key's records keep their order only while all its writers choose the same partition.
 * A client of ours whose murmur2 is wrong for one length of key in a thousand would split such a key in two, quietly.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { keyPartition } from '@varve/partitioning'
import { mustRun } from '../../support/children.js'
import {
  kafkaPython,
  kafkajs,
  kcat,
  needs,
  ourselves,
  type Reader,
  type Writer,
} from '../../support/clients.js'
import { random } from '../../support/random.js'
import { firstDifference } from '../../support/sample-text.js'
import { temporaryDirectory, varve } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const PARTITIONS = 3
const LINES = 20_000
const TIMEOUT = 120_000

const writers: readonly Writer[] = [kcat, kafkaPython, kafkajs, ourselves]
const readers: readonly Reader[] = [kcat, kafkaPython, ourselves]

const directory = temporaryDirectory()
const file = join(directory, 'keyed')
const expected: string[] = Array.from({ length: PARTITIONS }, () => '')
let brokers: BrokersUnderTest

beforeAll(async () => {
  const next = random(3)
  let text = ''
  for (let line = 0; line < LINES; line++) {
    // Keys of every length modulo 4, which is where murmur2 takes different ways.
    const key = `${'schlüssel'.slice(0, Math.floor(next() * 9))}${Math.floor(next() * 500)}`
    const value = `${line} of ${key}`
    text += `${key}:${value}\n`
    const partition = keyPartition(Buffer.from(key), PARTITIONS)
    expected[partition] += `${value}\n`
  }
  writeFileSync(file, text)
  brokers = await BrokersUnderTest.start()
})

describe.each(writers)('what $name wrote by key', (writer) => {
  const topic = `keyed-${writer.name}`

  beforeAll(async () => {
    if (writer.missing !== null) return
    const create = [
      'topic',
      'create',
      topic,
      '--partitions',
      String(PARTITIONS),
      '--broker',
      brokers.bootstrapServers,
    ]
    await mustRun(process.execPath, [varve, ...create])
    await writer.writeKeyed(brokers.bootstrapServers, topic, file)
  }, TIMEOUT)

  test.concurrent.for(readers)(
    '$name finds where Kafka puts it, in order',
    { timeout: TIMEOUT },
    async (reader, context) => {
      needs(context, writer, reader)
      const found = await Promise.all(
        expected.map((_, partition) => reader.read(brokers.bootstrapServers, topic, partition)),
      )
      for (const [partition, text] of expected.entries()) {
        expect(firstDifference(Buffer.from(text), found[partition]!), `partition ${partition}`).toBeNull()
      }
    },
  )
})
