/**
 * librdkafka decides from ApiVersions whether a broker knows lz4, and where it thinks not it sends uncompressed, saying so
 * once a day in a log that nobody reads. Nothing fails: only disks and networks fill faster. So the codec is read from the
 * bytes that were stored.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { BrokerProcess } from '../support/broker-process.js'
import { kafkaPython, kafkajs, kcat, needs, ourselves, type Reader, type Writer } from '../support/clients.js'
import { firstDifference, sampleText } from '../support/sample-text.js'
import { temporaryDirectory } from '../support/tree.js'

const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
const TIMEOUT = 60_000

// kcat sends no message for an empty line.
const text = sampleText(20_000, 4, { emptyLines: false })
const directory = temporaryDirectory()
const data = join(directory, 'data')
const file = join(directory, 'text')
let broker: BrokerProcess

beforeAll(async () => {
  writeFileSync(file, text)
  broker = await BrokerProcess.start(data)
})

/**
 * The codecs of the batches in the segment files of a partition, read by the layout of Kafka's batch header alone. Batches
 * of a few records do not count: clients send those uncompressed which compression would not make smaller.
 */
function codecsStored(partition: string): Set<number> {
  const codecs = new Set<number>()
  const fewRecords = 20
  for (const name of readdirSync(join(data, partition)).filter((each) => each.endsWith('.log'))) {
    const bytes = readFileSync(join(data, partition, name))
    for (let at = 0; at + 61 <= bytes.length; at += 12 + bytes.readInt32BE(at + 8)) {
      if (bytes.readInt32BE(at + 57) > fewRecords) codecs.add(bytes.readInt16BE(at + 21) & 7)
    }
  }
  return codecs
}

const compressions = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const writers: readonly { writer: Writer; compression: keyof typeof CODECS }[] = [
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
    await writer.write(broker.address, topic, file, compression)
    expect(codecsStored(`${topic}-0`)).toEqual(new Set([CODECS[compression]]))
    const installed = readers.filter(({ missing }) => missing === null)
    const texts = await Promise.all(installed.map((reader) => reader.read(broker.address, topic)))
    for (const [n, { name }] of installed.entries()) expect(firstDifference(text, texts[n]!), name).toBeNull()
  },
)
