/**
 * Java's producer is idempotent unless told otherwise, librdkafka and kafkajs are when asked to be. Each has its own idea of
 * what to do with an answer that did not come, so each writes while the broker, or the leader, is killed and started again, and every
 * line must be there once and in order. Whoever asks for transactions must be told that there are none, not wait for them.
 */
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Admin } from '@varve/client'
import { expect, test } from 'vitest'
import { contentOfTopic } from '../../crash/broker-content.js'
import { runChild, startChild } from '../../support/children.js'
import { type Client, kcat, needs } from '../../support/clients.js'
import { kafkaToolsMissing, kafkaToolsPath } from '../../support/kafka-tools.js'
import { root } from '../../support/tree.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const LINES = 30_000
const TIMEOUT = 180_000
const clients = join(root, 'test', 'conformance', 'clients')

interface IdempotentProducer extends Client {
  /** Writes the lines that it reads to partition 0 of a topic. */
  command(broker: string, topic: string, ...settings: string[]): [string, string[]]
}

const java: IdempotentProducer = {
  name: 'java',
  missing: kafkaToolsMissing,
  command: (...args) => ['java', ['-cp', kafkaToolsPath, join(clients, 'JavaProducer.java'), ...args]],
}

const librdkafka: IdempotentProducer = {
  name: 'librdkafka',
  missing: kcat.missing,
  command(broker, topic) {
    const settings = [
      'enable.idempotence=true',
      'linger.ms=1',
      'batch.num.messages=100',
      'retry.backoff.ms=50',
    ]
    const set = settings.flatMap((setting) => ['-X', setting])
    // -E: kcat would end when all of its brokers are away.
    return ['kcat', ['-P', '-E', '-b', broker, '-t', topic, '-p', '0', ...set]]
  },
}

const kafkajs: IdempotentProducer = {
  name: 'kafkajs',
  missing: null,
  command: (...args) => [process.execPath, [join(clients, 'kafkajs-idempotent.mjs'), ...args]],
}

const lines = Array.from({ length: LINES }, (_, i) => `${i} ${'x'.repeat((i * 31) % 90)}`)

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
    const topic = `from-${producer.name}`
    const brokers = await BrokersUnderTest.start()
    // Its first answer would be that the topic is new, which is not what is tested.
    const admin = new Admin({ brokers: brokers.addresses })
    await admin.createTopics([{ name: topic, partitions: 1 }])
    await admin.close()
    const child = startChild(...producer.command(brokers.bootstrapServers, topic))
    const ended = once(child, 'close') as Promise<[number | null]>
    let stderr = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdout!.resume()
    let given = 0
    const give = (upTo: number): void => {
      child.stdin!.write(lines.slice(given, upTo).join('\n') + '\n')
      given = upTo
    }
    // The kill comes in the middle: it is given the rest behind it, so that it cannot be through before this process has looked.
    for (const [share, upTo] of [
      [0.2, 0.6],
      [0.5, 0.9],
    ] as const) {
      give(upTo * LINES)
      while ((await endOffset(brokers, topic)) < share * LINES) {
        expect(child.exitCode, stderr).toBeNull()
        await sleep(10)
      }
      await brokers.kill(await brokers.leaderOf(topic))
      await brokers.startAgain()
    }
    give(LINES)
    child.stdin!.end()
    const [code] = await ended
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
    const brokers = await BrokersUnderTest.start()
    const run = (producer: IdempotentProducer, ...settings: string[]) =>
      runChild(...producer.command(brokers.bootstrapServers, 'orders', ...settings), { input: 'x\n' })
    const js = await run(kafkajs, 'transfers')
    expect(js.code).not.toBe(0)
    // kafkajs's words for whatever it is told.
    expect(js.stderr).toContain('Failed to find group coordinator')
    needs(context, java)
    const jvm = await run(java, 'transactional.id=transfers', 'max.block.ms=60000')
    expect(jvm.code).not.toBe(0)
    expect(jvm.stderr).toContain('This broker does not support transactions.')
    await brokers.stop()
  },
)
