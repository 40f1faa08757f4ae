/** Starts one real Kafka for all tests of the project "against Kafka", which find it by `inject('kafka')`. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { KAFKA, freePort, kafkaIsInstalled, startKafka } from '../../../../scripts/kafka-broker.mjs'
import { cache } from '../../../../scripts/paths.mjs'
import { Authority, type Credentials } from '../../../../test/support/certificates.js'

export interface ProvidedKafka {
  readonly port: number
  /** Asks for a certificate. */
  readonly tlsPort: number
  readonly ca: string
  readonly client: Credentials
  /** A listener that calls itself `advertised`, where a test may put something in between. */
  readonly detour: { readonly port: number; readonly advertised: number }
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Kafka, or why there is none; undefined in other projects. */
    kafka: ProvidedKafka | { readonly missing: string } | undefined
  }
}

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (!kafkaIsInstalled() || spawnSync('java', ['-version']).status !== 0) {
    const missing = `Kafka ${KAFKA} or Java is not installed; install them with: npm run setup:conformance`
    project.provide('kafka', { missing })
    return undefined
  }
  // Not the folder for temporary files: another project's set-up looks at what is left there.
  mkdirSync(cache, { recursive: true })
  const directory = mkdtempSync(join(cache, 'kafka-run-'))
  const remove = (): void => rmSync(directory, { recursive: true, force: true })
  try {
    const authority = await Authority.create()
    const { key, cert } = await authority.issue('broker', ['127.0.0.1'])
    const file = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text)
      return join(directory, name)
    }
    const detour = { port: await freePort(), advertised: await freePort() }
    const kafka = await startKafka({
      directory: join(directory, 'kafka'),
      heap: '512m',
      pem: file('broker.pem', key + '\n' + cert),
      moreListeners: { DETOUR: detour },
      properties: {
        'ssl.client.auth': 'required',
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.location': file('ca.pem', authority.ca),
        // Tests need not wait for members that nobody started, nor for fifty partitions.
        'group.initial.rebalance.delay.ms': 0,
        'offsets.topic.num.partitions': 1,
      },
    })
    project.provide('kafka', {
      port: kafka.port,
      tlsPort: kafka.tlsPort!,
      ca: authority.ca,
      client: await authority.issue('client'),
      detour,
    })
    return async () => {
      await kafka.stop()
      remove()
    }
  } catch (error) {
    remove()
    throw error
  }
}
