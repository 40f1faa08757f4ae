/** Both brokers of a run. One is measured; meanwhile the other stands still. */
import { execFile } from 'node:child_process'
import { appendFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Broker } from './broker.mjs'
import { batchesOf, nativeClient } from './native-client.mjs'
import { start } from './servers.mjs'

const run = promisify(execFile)

export class Pair {
  #workplace
  #subjects
  #warmUpSeconds
  #nodeOptions
  /** By subject, once it runs. */
  #brokers

  /**
   * @param {object} what
   * @param {import('../harness/workplace.mjs').Workplace} what.workplace
   * @param {readonly string[]} what.subjects
   * @param {number} what.warmUpSeconds for each broker, when it has started
   * @param {readonly string[]} [what.nodeOptions] of varve's process
   */
  constructor({ workplace, subjects, warmUpSeconds, nodeOptions = [] }) {
    this.#workplace = workplace
    this.#subjects = subjects
    this.#warmUpSeconds = warmUpSeconds
    this.#nodeOptions = nodeOptions
  }

  /** The running broker of a subject; the other is stopped in its tracks, and the disk has nothing left to write. */
  async turn(subject) {
    if (this.#brokers === undefined) await this.#start()
    for (const [other, broker] of this.#brokers) broker.signal(other === subject ? 'SIGCONT' : 'SIGSTOP')
    await this.quietDisk()
    return this.#brokers.get(subject)
  }

  /** Waits until the kernel has written what was written to the file system before. */
  async quietDisk() {
    await run('sync', ['-f', this.#workplace.root])
  }

  /** Ends what the section shared. */
  async forget() {
    for (const [subject, broker] of this.#brokers ?? []) {
      await this.turn(subject)
      await broker.forget()
    }
  }

  /** Calls `body` with a new broker of a subject, while nothing else runs. */
  async alone(subject, body) {
    await this.stop()
    await this.quietDisk()
    const dir = this.#workplace.next()
    const broker = new Broker(await start[subject](dir, { nodeOptions: this.#nodeOptions }))
    try {
      return await body(broker)
    } finally {
      await broker.stop()
      // Tens of thousands of files may be in it.
      await rm(dir, { recursive: true, force: true })
    }
  }

  async #start() {
    this.#brokers = new Map()
    const pem = await certificate(this.#workplace.next())
    for (const subject of this.#subjects) {
      const server = await start[subject](this.#workplace.next(), { nodeOptions: this.#nodeOptions, pem })
      this.#brokers.set(subject, new Broker(server))
    }
    for (const subject of this.#subjects) await warmUp(await this.turn(subject), this.#warmUpSeconds)
  }

  async stop() {
    for (const broker of this.#brokers?.values() ?? []) await broker.stop()
    this.#brokers = undefined
  }
}

/** A file with a key and its certificate for this machine; undefined where there is no openssl. */
async function certificate(dir) {
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
