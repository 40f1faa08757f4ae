// Asks a real Kafka 4.4: `npm run record:kafka` writes its answers down, `npm run record:kafka -- --check` compares them with
// what is written down, as `npm run prove kafka` does.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describeGroups, findCoordinator, initProducerId } from '@varve/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { kafkaIsInstalled, type RunningKafka, startKafka } from '../../scripts/kafka-broker.mjs'
import { isLongRun } from '../support/long-run.js'
import { temporaryDirectory } from '../support/tree.js'
import { digestOf, readRecording, writeRecording } from './differential/fixture.js'
import { play } from './differential/play.js'
import type { Subject } from './differential/sequence.js'
import { madeEqual, subjects } from './differential/subjects.js'

const mode = process.env['VARVE_RECORD_KAFKA'] ?? (isLongRun ? 'check' : undefined)
const only = process.env['VARVE_RECORD_ONLY']?.split(',')

const skipped = mode === undefined || !kafkaIsInstalled()
const asked = subjects.filter(({ name }) => only?.includes(name) ?? true)
const isPlain = ({ configs }: Subject): boolean => Object.keys(configs).length === 0

describe.skipIf(skipped || !asked.some(isPlain))('Kafka 4.4', () => {
  answers(asked.filter(isPlain))
})

describe.skipIf(skipped).each(asked.filter((subject) => !isPlain(subject)))(
  'Kafka 4.4 for $name',
  (subject) => {
    answers([subject], subject.configs)
  },
)

/** Starts a Kafka and asks it about subjects. */
function answers(some: readonly Subject[], configs: Subject['configs'] = {}): void {
  let kafka: RunningKafka
  let directory: string

  beforeAll(async () => {
    directory = join(temporaryDirectory(), 'kafka')
    kafka = await startKafka({
      directory,
      properties: {
        ...Object.fromEntries(madeEqual.map(({ name, value }) => [name, value])),
        'transaction.state.log.num.partitions': 1,
        // Records of 1970 are to stay.
        'log.retention.ms': -1,
        ...configs,
      },
    })
    await coordinated(kafka.port)
  }, 120_000)

  afterAll(async () => {
    await kafka?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  for (const subject of some) {
    test(`${mode === 'check' ? 'still answers' : 'answers'} ${subject.name}`, async () => {
      const failed: string[] = []
      const recording: Record<string, { sent: string; answers: Awaited<ReturnType<typeof play>> }> = {}
      for (const sequence of subject.sequences) {
        const sent = digestOf(sequence, subject.configs)
        await play(kafka.port, subject.name, sequence, { settleMs: 150 }).then(
          (answered) => (recording[sequence.name] = { sent, answers: answered }),
          (error: unknown) => failed.push(String(error)),
        )
      }
      expect(failed).toEqual([])
      if (mode === 'check') expect(recording).toEqual(readRecording(subject.name))
      else writeRecording(subject.name, recording)
    }, 600_000)
  }
}

/** Waits until the topics behind groups and producer ids are there, which Kafka creates when they are first asked for. */
async function coordinated(port: number): Promise<void> {
  const client = await RawClient.connect(port)
  const deadline = Date.now() + 60_000
  for (;;) {
    const group = await client.request(findCoordinator, 3, { key: 'g' })
    const transaction = await client.request(findCoordinator, 3, { key: 't', keyType: 1 })
    const producer = await client.request(initProducerId, 4, {
      transactionalId: null,
      transactionTimeoutMs: 1000,
    })
    const { groups } = await client.request(describeGroups, 5, { groups: ['g'] })
    const codes = [group, transaction, producer, groups[0]!].map(({ errorCode }) => errorCode)
    if (codes.every((code) => code === 0)) break
    if (Date.now() > deadline) throw new Error('Kafka did not create its internal topics')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await client.close()
}
