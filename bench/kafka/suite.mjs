/** What `npm run bench:kafka` measures: one broker beside one broker. */
import { execFile } from 'node:child_process'
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Broker } from './broker.mjs'
import { batchesOf, nativeClient } from './native-client.mjs'
import { performancePage } from './page.mjs'
import { sections } from './sections/index.mjs'
import { start } from './servers.mjs'

const run = promisify(execFile)

/** @type {import('./run.mjs').Suite} */
export const suite = {
  command: 'npm run bench:kafka',
  sections,
  page: performancePage,
  // Starting, and the last cell, which is longer than the others, take the rest of the ten minutes.
  minutes: { usual: 7.5, full: 240 },
  finishedFile: 'bench-kafka-full.json',
  async begin(subject, dir, { stands, nodeOptions }) {
    const pem = stands ? await certificate(`${dir}-tls`) : undefined
    return new Broker(await start[subject](dir, { nodeOptions, pem }))
  },
  warmUp,
}

/** A file with a key and its certificate for this machine; undefined where there is no openssl. */
async function certificate(dir) {
  await mkdir(dir)
  const pem = join(dir, 'broker.pem')
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  try {
    // Both go into one file, the certificate behind the key.
    const made = await run('openssl', ['req', '-x509', ...key, ...names, '-keyout', pem])
    await appendFile(pem, made.stdout)
    return pem
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return undefined
  }
}

/** Kafka compiles what is often used while it is used. */
async function warmUp(broker, seconds) {
  const topic = await broker.createTopic(1)
  const { records } = await nativeClient(broker, {
    kind: 'produce',
    ...batchesOf([topic], {}),
    connections: 4,
    inFlight: 5,
    seconds,
    maxBytes: 1 << 30,
  })
  await nativeClient(broker, {
    kind: 'consume',
    topic,
    connections: 4,
    records,
    maxPartitionBytes: 1 << 20,
    maxBytes: 50 << 20,
  })
  await broker.deleteTopics([topic])
}
