// Asks a real Kafka 4.4: `npm run record:kafka` writes its answers down, `npm run record:kafka -- --check` compares them with
// what is written down, as `npm run prove kafka` does.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { findCoordinator, initProducerId } from '@varve/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient } from '../../packages/broker/test/support/raw-client.js'
import { kafkaIsInstalled, type RunningKafka, startKafka } from '../../scripts/kafka-broker.mjs'
import { isLongRun } from '../support/long-run.js'
import { temporaryDirectory } from '../support/tree.js'
import { digestOf, readRecording, writeRecording } from './differential/fixture.js'
import { play } from './differential/play.js'
import { subjects } from './differential/subjects.js'

const mode = process.env['VARVE_RECORD_KAFKA'] ?? (isLongRun ? 'check' : undefined)
const only = process.env['VARVE_RECORD_ONLY']?.split(',')

describe.skipIf(mode === undefined || !kafkaIsInstalled())('Kafka 4.4', () => {
  let kafka: RunningKafka
  let directory: string

  beforeAll(async () => {
    directory = join(temporaryDirectory(), 'kafka')
    kafka = await startKafka({
      directory,
      properties: {
        // What is set here is what ours has as defaults, or is made equal in the comparison.
        'group.initial.rebalance.delay.ms': 0,
        'offsets.topic.num.partitions': 1,
        'transaction.state.log.num.partitions': 1,
        // Records of 1970 are to stay.
        'log.retention.ms': -1,
      },
    })
    await coordinated(kafka.port)
  }, 120_000)

  afterAll(async () => {
    await kafka?.stop()
    await rm(directory, { recursive: true, force: true })
  })

  for (const subject of subjects.filter(({ name }) => only?.includes(name) ?? true)) {
    test(`${mode === 'check' ? 'still answers' : 'answers'} ${subject.name}`, async () => {
      const failed: string[] = []
      const recording: Record<string, { sent: string; answers: Awaited<ReturnType<typeof play>> }> = {}
      for (const sequence of subject.sequences) {
        await play(kafka.port, subject.name, sequence, { settleMs: 150 }).then(
          (answers) => (recording[sequence.name] = { sent: digestOf(sequence), answers }),
          (error: unknown) => failed.push(String(error)),
        )
      }
      expect(failed).toEqual([])
      if (mode === 'check') expect(recording).toEqual(readRecording(subject.name))
      else writeRecording(subject.name, recording)
    }, 600_000)
  }
})

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
    if (group.errorCode === 0 && transaction.errorCode === 0 && producer.errorCode === 0) break
    if (Date.now() > deadline) throw new Error('Kafka did not create its internal topics')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await client.close()
}
