/**
 * Bytes that we write and read back alike may still be nobody else's. So Kafka's own classes write random values of every
 * message at every version, and what they write must be what we write.
 *
 * With VARVE_DRAW_GOLDEN=1 the samples that packages/protocol/test/golden lacks are taken from these.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { barestValue, decodedForm, structArbitrary } from '../../packages/protocol/test/arbitrary.js'
import { everyVersion } from '../../packages/protocol/test/every-message.js'
import { toJsonForm } from '../../packages/protocol/test/json-form.js'
import { classesMissing, KAFKA_VERSION, writtenByKafka } from '../support/kafka-messages.js'
import { root } from '../support/tree.js'

const RANDOM_VALUES = 12

const drawn = everyVersion.flatMap(({ name, version, declared }) => {
  const { fields } = declared.message
  const random = fc.sample(structArbitrary(fields, version), { seed: version, numRuns: RANDOM_VALUES })
  // Random values are rarely null everywhere, or empty everywhere.
  return [barestValue(fields, version, 'null'), barestValue(fields, version, 'empty'), ...random].map(
    (value) => ({ declared, value, message: name, version, json: toJsonForm(fields, value) }),
  )
})

test(
  "Kafka's classes write every message at every version as we do",
  { timeout: 120_000 },
  async ({ skip }) => {
    if (classesMissing !== null) skip(classesMissing)
    const written = await writtenByKafka(
      drawn.map(({ message, version, json }) => ({ message, version, value: json })),
    )
    expect(written.length).toBe(drawn.length)
    for (const [i, { hex }] of written.entries()) {
      const { declared, message, version, value } = drawn[i]!
      const what = `${message} v${version} of ${JSON.stringify(drawn[i]!.json)}`
      expect(declared.encode(value, version).toString('hex'), what).toBe(hex)
      const decoded = declared.decode(Buffer.from(hex, 'hex'), version)
      expect(decoded, what).toEqual(decodedForm(declared.message.fields, value))
    }
    if (process.env['VARVE_DRAW_GOLDEN'] === '1') drawGolden(written)
  },
)

interface Golden {
  readonly message: string
  readonly version: number
  readonly hex: string
}

/** Completes the file with the richest samples that are not long. */
function drawGolden(written: readonly Golden[]): void {
  const file = join(root, `packages/protocol/test/golden/kafka-${KAFKA_VERSION}.jsonl`)
  const parse = (line: string) => JSON.parse(line) as Golden
  const present = readFileSync(file, 'utf8').trim().split('\n').map(parse)
  const lines = everyVersion.map(({ name, version }) => {
    const isOne = (sample: Golden) => sample.message === name && sample.version === version
    const one = present.find(isOne)
    if (one) return JSON.stringify(one)
    const texts = written.filter(isOne).map((sample) => JSON.stringify(sample))
    texts.sort((a, b) => a.length - b.length)
    return texts.findLast((text) => text.length < 1200) ?? texts[0]!
  })
  writeFileSync(file, `${lines.join('\n')}\n`)
}
