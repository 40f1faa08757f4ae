/**
 * A broker can pass every test of its own and still lose somebody's bytes: a codec that its client negotiates and ours
 * does not, an empty value that comes back as null, an order that holds only until batches are large. So a text file goes
 * in through each client and must come out of every client as the same bytes in the same order.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
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
import { temporaryDirectory } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const LINES = 100_000
const TIMEOUT = 180_000

const writers: readonly Writer[] = [kcat, kafkaPython, kafkajs, ourselves]
const readers: readonly Reader[] = [kcat, kafkaPython, ourselves]

const directory = temporaryDirectory()
// kcat sends no message for an empty line, so its file has none.
const texts = {
  withEmptyLines: sampleText(LINES, 1),
  withoutEmptyLines: sampleText(LINES, 2, { emptyLines: false }),
}
const textOf = (writer: Writer): keyof typeof texts =>
  writer === kcat ? 'withoutEmptyLines' : 'withEmptyLines'

let brokers: BrokersUnderTest

beforeAll(async () => {
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(directory, name), text)
  brokers = await BrokersUnderTest.start()
})

describe.each(writers)('what $name wrote', (writer) => {
  const topic = `from-${writer.name}`

  beforeAll(async () => {
    if (writer.missing !== null) return
    await brokers.prepare(topic)
    await writer.write(brokers.bootstrapServers, topic, join(directory, textOf(writer)))
  }, TIMEOUT)

  test.concurrent.for(readers)('$name reads back', { timeout: TIMEOUT }, async (reader, context) => {
    needs(context, writer, reader)
    expect(
      firstDifference(texts[textOf(writer)], await reader.read(brokers.bootstrapServers, topic)),
    ).toBeNull()
  })
})
