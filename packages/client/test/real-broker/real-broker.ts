/**
 * A broker that stores, assigns offsets and answers by its own rules: varve's or, in the project "against Kafka", a real
 * Apache Kafka. What a client of ours does, it must do with both.
 */
import { startBroker, type Broker } from '@varve/broker'
import { afterAll, beforeAll, beforeEach, inject, vi } from 'vitest'
import { freePort } from '../../../../scripts/kafka-broker.mjs'
import { Authority } from '../../../../test/support/certificates.js'
import type { Admin, NewTopic } from '../../src/index.js'
import type { ProvidedKafka } from './kafka.js'

/** Of a broker that is missing: nobody connects, because every test is skipped. */
const NOWHERE = 9

export interface RealBroker {
  readonly port: number
  readonly brokers: string[]
  readonly secure: { readonly port: number; readonly tls: { ca: string; cert: string; key: string } }
  readonly detour: { readonly port: number; readonly advertised: number }
}

/** Starts the broker of a test file, or skips its tests and says why. */
export function useRealBroker(): RealBroker {
  const kafka = inject('kafka')
  if (kafka === undefined) return useVarve()
  if ('missing' in kafka) {
    beforeEach((context) => context.skip(kafka.missing))
    const none = { ca: '', client: { cert: '', key: '' }, detour: { port: NOWHERE, advertised: NOWHERE } }
    return reached({ port: NOWHERE, tlsPort: NOWHERE, ...none })
  }
  return reached(kafka)
}

const reached = ({ port, tlsPort, ca, client, detour }: ProvidedKafka): RealBroker => ({
  port,
  brokers: [`127.0.0.1:${port}`],
  secure: { port: tlsPort, tls: { ca, ...client } },
  detour,
})

function useVarve(): RealBroker {
  let broker: Broker
  let found: RealBroker
  beforeAll(async () => {
    const authority = await Authority.create()
    const detour = await freePort()
    broker = await startBroker({
      listeners: ['PLAINTEXT', 'SSL', 'DETOUR'].map((name) => `${name}://127.0.0.1:0`).join(),
      listenerSecurityProtocolMap: 'PLAINTEXT:PLAINTEXT,SSL:SSL,DETOUR:PLAINTEXT',
      advertisedListeners: `DETOUR://127.0.0.1:${detour}`,
      ssl: { ...(await authority.issue('broker', ['127.0.0.1'])), ca: authority.ca, clientAuth: 'required' },
    })
    const portOf = (name: string): number => broker.listeners.find((listener) => listener.name === name)!.port
    found = reached({
      port: portOf('PLAINTEXT'),
      tlsPort: portOf('SSL'),
      ca: authority.ca,
      client: await authority.issue('client'),
      detour: { port: portOf('DETOUR'), advertised: detour },
    })
  })
  afterAll(() => broker?.close())
  return {
    get port() {
      return found.port
    },
    get brokers() {
      return found.brokers
    },
    get secure() {
      return found.secure
    },
    get detour() {
      return found.detour
    },
  }
}

/** Creates topics and waits until the broker can tell of them, which a Kafka learns from its controller some time later. */
export async function created(admin: Admin, ...topics: NewTopic[]): Promise<void> {
  await admin.createTopics(topics)
  await eventually(async () => {
    const described = await admin.describeTopics(topics.map(({ name }) => name))
    for (const { partitions } of described)
      if (partitions.some(({ leader }) => leader < 0)) throw new Error('a partition has no leader yet')
  })
}

/** What is so at once at a varve, and soon at a Kafka. */
export const eventually = <T>(check: () => Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 30_000, interval: 10 })
