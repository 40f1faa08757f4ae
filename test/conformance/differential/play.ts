// Plays a sequence to a broker and returns its answers in normal form.
import { setTimeout as after } from 'node:timers/promises'
import {
  createPartitions,
  createTopics,
  decodeResponse,
  deleteTopics,
  describeGroups,
  metadata,
  type MetadataResponse,
} from '@varve/protocol'
import { RawClient } from '../../../packages/broker/test/support/raw-client.js'
import { type Json, Names, normalForm } from './normal-form.js'
import { type AnyApi, Batch, type Call, type Sequence, type Step } from './sequence.js'

export interface Answer {
  readonly step: string
  readonly answer: Json
}

export interface PlayOptions {
  /** What a broker needs for what it has answered to become true everywhere, in ms; Kafka's learns it from its controller. */
  readonly settleMs?: number
}

const DEADLINE_MS = 20_000
const UNANSWERED = '<no answer>' as const
/** What a connection is worth on which the broker does not answer but hangs up. */
const CLOSED = '<the connection is closed>' as const

export async function play(
  port: number,
  subject: string,
  sequence: Sequence,
  { settleMs = 0 }: PlayOptions = {},
): Promise<Answer[]> {
  const names = new Names()
  const clients = new Map<string, RawClient>()
  const waiting = new Map<string, Call>()
  const isOwn = (name: string): boolean => name.startsWith(`${subject}.${sequence.name}.`)

  const clientOf = async (as: string): Promise<RawClient> => {
    const known = clients.get(as)
    if (known !== undefined) return known
    const client = await RawClient.connect(port)
    clients.set(as, client)
    return client
  }
  const receive = async (
    as: string,
    api: AnyApi | undefined,
    version: number,
    patienceMs?: number,
  ): Promise<Json> => {
    const client = await clientOf(as)
    const frame = await within(
      patienceMs ?? DEADLINE_MS,
      client.nextFrame().catch(() => CLOSED),
    )
    if (frame === UNANSWERED && patienceMs === undefined)
      throw new Error(`waited in vain for an answer for ${as}`)
    if (typeof frame === 'string') {
      clients.delete(as)
      await client.close()
      return frame
    }
    if (api === undefined) return frame.subarray(4).toString('hex')
    return normalForm(decodeResponse(api, version, frame).body, api.name, names, isOwn)
  }
  const perform = async (step: Step): Promise<Json | undefined> => {
    switch (step.kind) {
      case 'call': {
        const client = await clientOf(step.as)
        client.send(step.api, step.version, actual(step.body, names), step.as)
        if (step.answer === 'later') waiting.set(step.as, step)
        if (step.answer !== 'now') return undefined
        const answer = await receive(step.as, step.api, step.version, step.patienceMs)
        if (CHANGES.has(step.api.key)) await settle(port, step, settleMs)
        return answer
      }
      case 'answer': {
        const { api, version } = waiting.get(step.as)!
        return receive(step.as, api, version)
      }
      case 'members':
        await untilMembers(port, step.group, step.count)
        return undefined
      case 'raw': {
        const frame = Buffer.from(step.frame, 'hex')
        const length = Buffer.alloc(4)
        length.writeInt32BE(frame.length)
        ;(await clientOf(step.as)).write(Buffer.concat([length, frame]))
        return receive(step.as, step.api, step.version ?? 0)
      }
    }
  }
  try {
    const answers: Answer[] = []
    for (const [index, step] of sequence.steps.entries()) {
      const answer = await perform(step).catch((error: unknown) => {
        throw new Error(`${subject}/${sequence.name}, step ${index}: ${String(error)}`, { cause: error })
      })
      if (answer !== undefined) answers.push({ step: `${index} ${titleOf(step)}`, answer })
    }
    return answers
  } finally {
    await Promise.all([...clients.values()].map((client) => client.close()))
  }
}

function titleOf(step: Step): string {
  if (step.kind === 'call')
    return `${step.api.name} v${step.version}${step.as === 'raw' ? '' : ` of ${step.as}`}`
  if (step.kind === 'answer') return `the answer of ${step.as}`
  return step.kind
}

/** The body with what the broker gave out in the place of its names. */
function actual(value: unknown, names: Names): unknown {
  if (value instanceof Batch) return value.bytes(names.actual)
  if (Array.isArray(value)) return value.map((one) => actual(one, names))
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return names.actual(value)
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, actual(inner, names)]))
}

/** What is true at a broker some time after it was answered: topics, their partitions and configurations. */
const CHANGES = new Set([3, 19, 20, 21, 33, 37, 44])

async function settle(port: number, step: Call, settleMs: number): Promise<void> {
  if (settleMs === 0) return
  if (step.api === metadata && !(step.body as { allowAutoTopicCreation?: boolean }).allowAutoTopicCreation)
    return
  await after(settleMs)
  if (![createTopics, deleteTopics, createPartitions].includes(step.api as never)) return
  const client = await RawClient.connect(port)
  try {
    await eventually('every partition has a leader', async () => {
      const { topics }: MetadataResponse = await client.request(metadata, 12, {
        topics: null,
        allowAutoTopicCreation: false,
      })
      return topics.every((topic) => topic.partitions.every(({ leaderId }) => leaderId >= 0))
    })
  } finally {
    await client.close()
  }
}

async function untilMembers(port: number, group: string, count: number): Promise<void> {
  const client = await RawClient.connect(port)
  try {
    await eventually(`${group} has ${count} members`, async () => {
      const { groups } = await client.request(describeGroups, 0, { groups: [group] })
      return groups[0]!.members.length === count
    })
  } finally {
    await client.close()
  }
}

async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`)
    await after(5)
  }
}

async function within<T>(ms: number, answer: Promise<T>): Promise<T | typeof UNANSWERED> {
  const late = new AbortController()
  try {
    return await Promise.race([
      answer,
      after(ms, UNANSWERED, { signal: late.signal }).catch(() => new Promise<never>(() => {})),
    ])
  } finally {
    late.abort()
  }
}
