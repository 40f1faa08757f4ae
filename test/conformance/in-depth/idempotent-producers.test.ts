/**
 * Java's producer is idempotent unless told otherwise, librdkafka and kafkajs are when asked to be. Each has its own idea of
 * what to do with an answer that did not come, so each writes while the broker is killed and started again, and every
 * line must be there once and in order. Whoever asks for transactions must be told that there are none, not wait for them.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin, Connection } from '@varve/client'
import { describeProducers } from '@varve/protocol'
import { expect, test } from 'vitest'
import { contentOfTopic } from '../../crash/broker-content.js'
import { BrokerProcess } from '../../support/broker-process.js'
import { type Finished, runChild } from '../../support/children.js'
import { type Client, kcat, needs } from '../../support/clients.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { root, temporaryDirectory } from '../../support/tree.js'

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
    // -E: kcat would end when its only broker is away.
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

async function endOffset(broker: BrokerProcess, topic: string): Promise<number> {
  const admin = new Admin({ brokers: [broker.address] })
  try {
    const [end] = await admin.listOffsets([{ topic, partition: 0, timestamp: 'latest' }])
    return end!.offset
  } finally {
    await admin.close()
  }
}

/** The producers that partition 0 remembers, and the last sequence number of each. */
async function sequences(broker: BrokerProcess, topic: string): Promise<number[]> {
  const connection = await Connection.dial('127.0.0.1', broker.port)
  const { topics } = await connection.request(describeProducers, {
    topics: [{ name: topic, partitionIndexes: [0] }],
  })
  connection.close()
  return topics[0]!.partitions[0]!.activeProducers.map(({ lastSequence }) => lastSequence)
}

test.for([java, librdkafka, kafkajs])(
  'what $name writes while the broker is killed is there once and in order',
  { timeout: TIMEOUT },
  async (producer, context) => {
    needs(context, producer)
    const directory = temporaryDirectory()
    const file = join(directory, 'lines')
    writeFileSync(file, lines.join('\n'))
    const topic = `from-${producer.name}`
    const data = join(directory, 'data')
    let broker = await BrokerProcess.start(data)
    // Its first answer would be that the topic is new, which is not what is tested.
    const admin = new Admin({ brokers: [broker.address] })
    await admin.createTopics([{ name: topic, partitions: 1 }])
    await admin.close()
    const written = producer.write(broker.address, topic, file)
    const state = { isWritten: false }
    void written.then(() => (state.isWritten = true))
    for (const share of [0.2, 0.5]) {
      while (!state.isWritten && (await endOffset(broker, topic)) < share * LINES) await nextTurn()
      expect(state.isWritten, 'the kill comes in the middle').toBe(false)
      await broker.stop('SIGKILL')
      broker = await BrokerProcess.start(data, ['--port', String(broker.port)])
    }
    const { code, stderr } = await written
    expect(stderr.replaceAll(/^(%|SLF4J|WARNING).*$/gm, '').trim()).toBe('')
    expect(code).toBe(0)
    const [content] = await contentOfTopic(broker, topic, 1)
    expect([...content!.values()]).toEqual(lines)
    expect(await sequences(broker, topic)).toEqual([LINES - 1])
    expect(await broker.stop()).toBe(0)
  },
)

test(
  'a transactional producer is told that there are no transactions',
  { timeout: TIMEOUT },
  async (context) => {
    const directory = temporaryDirectory()
    const file = join(directory, 'lines')
    writeFileSync(file, 'x')
    const broker = await BrokerProcess.start(join(directory, 'data'))
    const js = await runKafkajs(broker.address, 'orders', file, 'transfers')
    expect(js.code).not.toBe(0)
    // kafkajs's words for whatever it is told.
    expect(js.stderr).toContain('Failed to find group coordinator')
    needs(context, java)
    const jvm = await runJava(
      broker.address,
      'orders',
      file,
      'transactional.id=transfers',
      'max.block.ms=60000',
    )
    expect(jvm.code).not.toBe(0)
    expect(jvm.stderr).toContain('This broker does not support transactions.')
    expect(await broker.stop()).toBe(0)
  },
)
