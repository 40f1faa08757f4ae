/**
 * Java's producer is idempotent unless told otherwise, librdkafka and kafkajs are when asked to be. Each has its own idea of
 * what to do with an answer that did not come, so each writes while the broker, or the leader, is killed and started again, and every
 * line must be there once and in order. Whoever asks for transactions must be told that there are none, not wait for them.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin } from '@varve/client'
import { expect, test } from 'vitest'
import { contentOfTopic } from '../../crash/broker-content.js'
import { type Finished, runChild } from '../../support/children.js'
import { type Client, kcat, needs } from '../../support/clients.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { root, temporaryDirectory } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const LINES = 30_000
const TIMEOUT = 120_000
const clients = join(root, 'test', 'conformance', 'clients')

interface IdempotentProducer extends Client {
  /** Writes the lines of a file to partition 0 of a topic. */
  write(broker: string, topic: string, file: string): Promise<Finished>
}

const runJava = (...args: string[]): Promise<Finished> =>
  runChild('java', ['-cp', kafkaToolsPath, join(clients, 'JavaProducer.java'), ...args])

const java: IdempotentProducer = {
  name: 'java',
  missing: kafkaToolsMissing,
  write: (broker, topic, file) => runJava(broker, topic, file),
}

const librdkafka: IdempotentProducer = {
  name: 'librdkafka',
  missing: kcat.missing,
  write(broker, topic, file) {
    const settings = [
      'enable.idempotence=true',
      'linger.ms=1',
      'batch.num.messages=100',
      'retry.backoff.ms=50',
    ]
    const set = settings.flatMap((setting) => ['-X', setting])
    // -E: kcat would end when all of its brokers are away.
    return runChild('kcat', ['-P', '-E', '-b', broker, '-t', topic, '-p', '0', ...set, '-l', file])
  },
}

const runKafkajs = (...args: string[]): Promise<Finished> =>
  runChild(process.execPath, [join(clients, 'kafkajs-idempotent.mjs'), ...args])

const kafkajs: IdempotentProducer = {
  name: 'kafkajs',
  missing: null,
  write: (broker, topic, file) => runKafkajs(broker, topic, file),
}

const lines = Array.from({ length: LINES }, (_, i) => `${i} ${'x'.repeat((i * 31) % 90)}`)

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function endOffset({ addresses }: BrokersUnderTest, topic: string): Promise<number> {
  await using admin = new Admin({ brokers: addresses })
  const [end] = await admin.listOffsets([{ topic, partition: 0, timestamp: 'latest' }])
  return end!.offset
}

/** The producers that partition 0 remembers, and the last sequence number of each. */
async function sequences({ addresses }: BrokersUnderTest, topic: string): Promise<number[]> {
  await using admin = new Admin({ brokers: addresses })
  const [described] = await admin.describeProducers([{ topic, partition: 0 }])
  return described!.producers.map(({ lastSequence }) => lastSequence)
}

test.for([java, librdkafka, kafkajs])(
  'what $name writes while its broker is killed is there once and in order',
  { timeout: TIMEOUT },
  async (producer, context) => {
    needs(context, producer)
    const directory = temporaryDirectory()
    const file = join(directory, 'lines')
    writeFileSync(file, lines.join('\n'))
    const topic = `from-${producer.name}`
    const brokers = await BrokersUnderTest.start()
    // Its first answer would be that the topic is new, which is not what is tested.
    const admin = new Admin({ brokers: brokers.addresses })
    await admin.createTopics([{ name: topic, partitions: 1 }])
    await admin.close()
    const written = producer.write(brokers.bootstrapServers, topic, file)
    const state = { isWritten: false }
    void written.then(() => (state.isWritten = true))
    for (const share of [0.2, 0.5]) {
      while (!state.isWritten && (await endOffset(brokers, topic)) < share * LINES) await nextTurn()
      // While one of a cluster comes back the others are written to, perhaps to the end.
      if (share > 0.2 && brokers.addresses.length > 1 && state.isWritten) break
      expect(state.isWritten, 'the kill comes in the middle').toBe(false)
      await brokers.kill(await brokers.leaderOf(topic))
      await brokers.startAgain()
    }
    const { code, stderr } = await written
    expect(stderr.replaceAll(/^(%|SLF4J|WARNING).*$/gm, '').trim()).toBe('')
    expect(code).toBe(0)
    const [content] = await contentOfTopic(brokers.addresses, topic, 1)
    expect([...content!.values()]).toEqual(lines)
    expect(await sequences(brokers, topic)).toEqual([LINES - 1])
    await brokers.stop()
  },
)

test(
  'a transactional producer is told that there are no transactions',
  { timeout: TIMEOUT },
  async (context) => {
    const directory = temporaryDirectory()
    const file = join(directory, 'lines')
    writeFileSync(file, 'x')
    const brokers = await BrokersUnderTest.start()
    const js = await runKafkajs(brokers.bootstrapServers, 'orders', file, 'transfers')
    expect(js.code).not.toBe(0)
    // kafkajs's words for whatever it is told.
    expect(js.stderr).toContain('Failed to find group coordinator')
    needs(context, java)
    const jvm = await runJava(
      brokers.bootstrapServers,
      'orders',
      file,
      'transactional.id=transfers',
      'max.block.ms=60000',
    )
    expect(jvm.code).not.toBe(0)
    expect(jvm.stderr).toContain('This broker does not support transactions.')
    await brokers.stop()
  },
)
