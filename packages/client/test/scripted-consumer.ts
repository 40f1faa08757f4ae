import { onTestFinished } from 'vitest'
import { Consumer, type ConsumerOptions, type ConsumerRecord } from '../src/consumer.js'
import { ScriptedCluster } from './scripted-cluster.js'

export const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

export async function startCluster(
  ...options: Parameters<typeof ScriptedCluster.start>
): Promise<ScriptedCluster> {
  const cluster = await ScriptedCluster.start(...options)
  onTestFinished(() => cluster.stop())
  return cluster
}

export function startConsumer(cluster: ScriptedCluster, options: Partial<ConsumerOptions> = {}): Consumer {
  const consumer = new Consumer({ brokers: cluster.addresses, retryBackoffMs: 1, ...options })
  onTestFinished(() => consumer.close())
  return consumer
}

/** The next `count` records as `offset:value`. */
export async function take(records: AsyncIterable<ConsumerRecord>, count: number): Promise<string[]> {
  const taken: string[] = []
  for await (const { offset, value } of records) {
    taken.push(`${offset}:${value}`)
    if (taken.length === count) break
  }
  return taken
}

export const values = (from: number, count: number): Array<{ value: string }> =>
  Array.from({ length: count }, (_, index) => ({ value: `v${from + index}` }))
export const expected = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${from + index}:v${from + index}`)

/** Topic t with one partition: three batches of four records. */
export async function threeBatches(
  ...options: Parameters<typeof ScriptedCluster.start>
): Promise<ScriptedCluster> {
  const cluster = await startCluster(...options)
  cluster.topics['t'] = { topicId: TOPIC_ID, leaders: [0] }
  cluster
    .log('t')
    .add(...values(0, 4))
    .add(...values(4, 4))
    .add(...values(8, 4))
  return cluster
}

export const t0 = { topic: 't', partition: 0 }
