// The broker answers as Kafka 4.4 does: each sequence of requests is played to it, and every field of every answer is compared
// with what a real Kafka answered, which is recorded (`npm run record:kafka`). Where they differ it is declared, with the
// reason; what is declared and no longer so fails as well.
import { startBroker, supportedApis, type Broker } from '@varve/broker'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findCoordinator } from '@varve/protocol'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { CLUSTER_ID } from '../../scripts/kafka-broker.mjs'
import { compare } from './differential/compare.js'
import { differences, isCase } from './differential/differences.js'
import { renderDifferencesPage } from './differential/differences-page.js'
import { digestOf, readRecording } from './differential/fixture.js'
import { play } from './differential/play.js'
import { subjects } from './differential/subjects.js'

const declared = differences.flatMap((difference) => difference.cases)
const seen = new Set<(typeof declared)[number]>()

describe.each(subjects)('$name', ({ name, configs, sequences }) => {
  const recording = readRecording(name)
  let broker: Broker

  beforeAll(async () => {
    broker = await startBroker({
      nodeId: 1,
      clusterId: CLUSTER_ID,
      configs: { 'log.retention.ms': -1, ...configs },
    })
    // The topic of the groups is there when they are first asked for.
    const client = await RawClient.connect(broker.port)
    await client.request(findCoordinator, 3, { key: 'g' })
    await client.close()
  })
  afterAll(() => broker.close())

  test('is recorded', () => {
    expect(Object.keys(recording)).toEqual(sequences.map((sequence) => sequence.name))
  })

  test.each(sequences)('$name: $story', async (sequence) => {
    const { sent, answers: kafka } = recording[sequence.name]!
    expect(digestOf(sequence, configs), 'what is sent is not what was recorded: npm run record:kafka').toBe(
      sent,
    )
    const found = compare(`${name}/${sequence.name}`, kafka, await play(broker.port, name, sequence))
    const unknown = found.filter((one) => {
      const known = declared.filter((given) => isCase(given, one))
      for (const given of known) seen.add(given)
      return known.length === 0
    })
    expect(unknown).toEqual([])
  })
})

test('every served version of every API is sent', () => {
  const sent = new Set(
    subjects
      .flatMap(({ sequences }) => sequences.flatMap(({ steps }) => steps))
      .map((step) => (step.kind === 'call' ? `${step.api.name} v${step.version}` : '')),
  )
  const missing: string[] = []
  for (const { api, served } of supportedApis.values()) {
    for (let version = served[0]; version <= served[1]; version++) {
      if (!sent.has(`${api.name} v${version}`)) missing.push(`${api.name} v${version}`)
    }
  }
  expect(missing).toEqual([])
})

test('there are sequences enough', () => {
  expect(subjects.flatMap(({ sequences }) => sequences).length).toBeGreaterThanOrEqual(200)
})

// After a change of the table: npx vitest run --project alone test/conformance/differential.test.ts -u
test('docs/differences.md is what the table prints', async () => {
  await expect(renderDifferencesPage()).toMatchFileSnapshot('../../docs/differences.md')
})

test('every declared difference is there', () => {
  expect(declared.filter((given) => !seen.has(given))).toEqual([])
})
