import { statfs } from 'node:fs/promises'
import type { VarveError } from '@varve/records'
import { type BrokerLog, errorFields } from './broker-log.js'

/** Tells operators of disks that have too little room left: the log once each time, and whoever asks. */
export class LowDisk {
  readonly #directories: readonly string[]
  readonly #markBytes: number
  readonly #log: BrokerLog
  #told = false

  /** @param markBytes what each disk should have free; 0 for no matter how little */
  constructor(directories: readonly string[], markBytes: number, log: BrokerLog) {
    this.#directories = directories
    this.#markBytes = markBytes
    this.#log = log
  }

  /** An append was refused for want of room. */
  refused(failure: VarveError): void {
    if (this.#told) return
    this.#told = true
    this.#log('error', `appends are refused until there is room: ${failure.message}`, errorFields(failure))
  }

  /** An append was taken. Another disk may still have too little; it then gets a line of its own. */
  took(): void {
    if (!this.#told) return
    this.#told = false
    this.#log('info', 'appends are taken again')
  }

  /** One line for each data directory whose disk has too little now. */
  async problems(): Promise<string[]> {
    if (this.#markBytes === 0) return []
    const lines = this.#directories.map(async (directory) => {
      const { bavail, bsize } = await statfs(directory)
      const free = bavail * bsize
      return free < this.#markBytes
        ? [`the disk of ${directory} has ${free} free bytes, fewer than lowDiskBytes, ${this.#markBytes}`]
        : []
    })
    return (await Promise.all(lines)).flat()
  }
}
