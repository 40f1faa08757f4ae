/** Both brokers of a run, or both clusters. One is measured; meanwhile the other stands still. */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

export class Pair {
  #workplace
  #subjects
  #warmUpSeconds
  #begin
  #warmUp
  /** By subject, once it runs. */
  #brokers

  /**
   * @param {object} what
   * @param {import('../harness/workplace.mjs').Workplace} what.workplace
   * @param {readonly string[]} what.subjects
   * @param {(subject: string, dir: string, how: { stands: boolean }) => Promise<any>} what.begin starts the broker of a subject
   *   in an empty folder, to measure with it alone or to let it stand still while the other one is measured
   * @param {(broker: any, seconds: number) => Promise<void>} what.warmUp
   * @param {number} what.warmUpSeconds for each broker, when it has started
   */
  constructor({ workplace, subjects, begin, warmUp, warmUpSeconds }) {
    this.#workplace = workplace
    this.#subjects = subjects
    this.#begin = begin
    this.#warmUp = warmUp
    this.#warmUpSeconds = warmUpSeconds
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
    const broker = await this.#begin(subject, dir, { stands: false })
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
    for (const subject of this.#subjects) {
      this.#brokers.set(subject, await this.#begin(subject, this.#workplace.next(), { stands: true }))
    }
    for (const subject of this.#subjects) await this.#warmUp(await this.turn(subject), this.#warmUpSeconds)
  }

  async stop() {
    for (const broker of this.#brokers?.values() ?? []) await broker.stop()
    this.#brokers = undefined
  }
}
