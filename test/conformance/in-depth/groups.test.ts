/**
 * Clients keep their own idea of how a group works, each a different version of each request: when they rejoin, what they
 * believe after an error, when they commit. So real ones form groups here whose members come, leave and die, and every
 * record must be read by somebody, none be read again once it was committed, and the group know where it stands.
 */
import { once } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { Admin, Producer } from '@varve/client'
import { beforeAll, describe, expect, test } from 'vitest'
import { startChild } from '../../support/children.js'
import {
  type GroupClient,
  javaConsumer,
  kafkajs,
  kafkaPython,
  kcat,
  needs,
  varveConsumer,
} from '../../support/clients.js'
import { BrokersUnderTest } from '../brokers-under-test.js'

const PARTITIONS = 6
const TIMEOUT = 180_000

/** A member in a process of its own, and what it has read. */
class Member {
  readonly child: ChildProcess
  readonly records: { readonly partition: number; readonly offset: number; readonly value: string }[] = []
  errors = ''

  constructor(client: GroupClient, broker: string, group: string, topic: string) {
    const [command, ...args] = client.member(broker, group, topic)
    this.child = startChild(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    this.child.stdout!.setEncoding('utf8').on('data', (more: string) => {
      text += more
      const lines = text.split('\n')
      text = lines.pop()!
      for (const line of lines) {
        const [, partition, offset, value] = /^(?:Partition:)?(\d+)\s(?:Offset:)?(\d+)\s(.*)$/.exec(line)!
        this.records.push({ partition: Number(partition), offset: Number(offset), value: value! })
      }
    })
    this.child.stderr!.setEncoding('utf8').on('data', (more: string) => (this.errors += more))
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const exit = once(this.child, 'exit')
    this.child.kill(signal)
    await exit
  }
}

let brokers: BrokersUnderTest
let admin: Admin

beforeAll(async () => {
  brokers = await BrokersUnderTest.start()
  admin = new Admin({ brokers: brokers.addresses })
  return () => admin.close()
})

async function produce(
  topic: string,
  name: string,
  count: number,
  partitions = PARTITIONS,
): Promise<string[]> {
  const producer = new Producer({ brokers: brokers.addresses })
  const values = Array.from({ length: count }, (_, n) => `${name} ${n}`)
  await Promise.all(values.map((value, n) => producer.send(topic, { value, partition: n % partitions })))
  await producer.close()
  return values
}

async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what()}\n${brokers.errors}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function describeGroup(group: string): Promise<{ state: string; members: number }> {
  const [described] = await admin.describeGroups([group])
  return { state: described!.state, members: described!.members.length }
}

async function stableWith(group: string, members: number): Promise<void> {
  let last = ''
  await until(
    async () => {
      const described = await describeGroup(group)
      last = JSON.stringify(described)
      return described.state === 'Stable' && described.members === members
    },
    () => `${group} is stable with ${members}: ${last}`,
  )
}

async function committed(group: string): Promise<number> {
  const offsets = await admin.listGroupOffsets(group)
  return offsets.reduce((sum, { offset }) => sum + offset, 0)
}

/** One member, then two more; one leaves, one dies, and in the end somebody else goes on. */
async function live(group: string, clients: readonly [GroupClient, GroupClient, GroupClient]): Promise<void> {
  const topic = `read-by-${group}`
  await admin.createTopics([{ name: topic, partitions: PARTITIONS }])
  const members: Member[] = []
  const begin = (client: GroupClient): Member => {
    const member = new Member(client, brokers.bootstrapServers, group, topic)
    members.push(member)
    return member
  }
  const read = (): Set<string> => new Set(members.flatMap(({ records }) => records.map(({ value }) => value)))
  const allOf = (values: readonly string[]): Promise<void> =>
    until(
      () => {
        const found = read()
        return values.every((value) => found.has(value))
      },
      () => {
        const found = read()
        const missing = values.filter((value) => !found.has(value))
        return `${missing.length} are read, such as ${missing[0]}\n${members.map(({ errors }) => errors).join('\n')}`
      },
    )

  const a = begin(clients[0])
  await allOf(await produce(topic, 'for one', 120))
  const b = begin(clients[1])
  const c = begin(clients[2])
  await stableWith(group, 3)
  for (const member of members) member.records.length = 0
  await allOf(await produce(topic, 'for three', 120))
  // A generation's partitions belong to one member each.
  const readers = members.map(({ records }) => new Set(records.map(({ partition }) => partition)))
  for (const partitions of readers) expect(partitions.size).toBe(PARTITIONS / 3)
  expect(new Set(readers.flatMap((partitions) => [...partitions])).size).toBe(PARTITIONS)

  await b.end('SIGTERM')
  await stableWith(group, 2)
  await allOf(await produce(topic, 'for two', 120))
  await c.end('SIGKILL')
  await allOf(await produce(topic, 'for the last', 120))
  await stableWith(group, 1)
  await a.end('SIGTERM')
  await until(
    async () => (await describeGroup(group)).state === 'Empty',
    () => `${group} is empty`,
  )
  expect(await committed(group)).toBe(480)

  const next = begin(clients[0])
  await allOf(await produce(topic, 'for another', 60))
  expect(next.records.filter(({ value }) => !value.startsWith('for another'))).toEqual([])
  await next.end('SIGTERM')
}

describe.concurrent.each([
  kcat,
  kafkaPython,
  kafkajs,
  javaConsumer,
  varveConsumer(),
  varveConsumer('cooperative-sticky'),
  varveConsumer('sticky'),
])('a group of $name', (client) => {
  test('reads everything while members come, leave and die', { timeout: TIMEOUT }, async (context) => {
    needs(context, client)
    await live(client.name, [client, client, client])
  })
})

test.concurrent('a group of several clients', { timeout: TIMEOUT }, async (context) => {
  needs(context, kcat, kafkaPython)
  await live('several', [kafkaPython, kcat, kafkaPython])
})

test.concurrent.for([
  { name: 'led by ours', clients: [varveConsumer('range'), kcat, kcat] },
  { name: 'led by kcat', clients: [kcat, varveConsumer('range', 'roundrobin'), kcat] },
  { name: 'led by kafka-python', clients: [kafkaPython, kcat, varveConsumer('roundrobin', 'range')] },
] as const)('a group of ours and others, $name', { timeout: TIMEOUT }, async ({ name, clients }, context) => {
  needs(context, ...clients)
  await live(name.replaceAll(' ', '-'), clients)
})
