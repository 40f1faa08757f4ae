/**
 * librdkafka decides from ApiVersions whether a broker knows lz4, and where it thinks not it sends uncompressed, saying so
 * once a day in a log that nobody reads. Nothing fails: only disks and networks fill faster. So the codec is read from the
 * bytes that were stored.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import {
  kafkaPython,
  kafkajs,
  kcat,
  needs,
  ourselves,
  type Reader,
  type Writer,
} from '../../support/clients.js'
import { firstDifference, sampleText } from '../../support/sample-text.js'
import { storedCodecs } from '../../support/stored-codecs.js'
import { temporaryDirectory } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const TIMEOUT = 120_000
const FEW_RECORDS = 20

// kcat sends no message for an empty line.
const text = sampleText(20_000, 4, { emptyLines: false })
const directory = temporaryDirectory()
const file = join(directory, 'text')
let brokers: BrokersUnderTest

beforeAll(async () => {
  writeFileSync(file, text)
  brokers = await BrokersUnderTest.start()
})

const compressions = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const writers: readonly { writer: Writer; compression: (typeof compressions)[number] }[] = [
  ...[kcat, kafkaPython, ourselves].flatMap((writer) =>
    compressions.map((compression) => ({ writer, compression })),
  ),
  // kafkajs brings gzip only.
  { writer: kafkajs, compression: 'gzip' },
]
const readers: readonly Reader[] = [kcat, kafkaPython, ourselves]

test.concurrent.for(writers)(
  '$writer.name sends $compression and it is stored as such',
  { timeout: TIMEOUT },
  async ({ writer, compression }, context) => {
    needs(context, writer)
    const topic = `${compression}-${writer.name}`
    await brokers.prepare(topic)
    await writer.write(brokers.bootstrapServers, topic, file, compression)
    for (const replica of brokers.replicasOf(topic))
      await context.expect.poll(() => storedCodecs(replica, FEW_RECORDS)).toEqual(new Set([compression]))
    const installed = readers.filter(({ missing }) => missing === null)
    const texts = await Promise.all(installed.map((reader) => reader.read(brokers.bootstrapServers, topic)))
    for (const [n, { name }] of installed.entries()) expect(firstDifference(text, texts[n]!), name).toBeNull()
  },
)
