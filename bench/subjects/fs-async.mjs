import { promises as fs } from 'node:fs'
import { countValues, fileIn, readValue, replayFile, writesOf } from './framing.mjs'

/** Gathers what is appended while a group is on its way, and settles a group when its write, or its fdatasync, is done. */
class GroupLog {
  #file
  #durable
  #values = []
  #waiters = []
  #busy = false

  constructor(file, durable) {
    this.#file = file
    this.#durable = durable
  }

  append(value) {
    this.#values.push(value)
    const promise = new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
    })
    if (!this.#busy) {
      this.#busy = true
      queueMicrotask(() => void this.#write())
    }
    return promise
  }

  async #write() {
    while (this.#values.length > 0) {
      const [values, waiters] = [this.#values, this.#waiters]
      this.#values = []
      this.#waiters = []
      try {
        await this.writeGroup(values)
        for (const { resolve } of waiters) resolve()
      } catch (error) {
        for (const { reject } of waiters) reject(error)
      }
    }
    this.#busy = false
  }

  async writeGroup(values) {
    for (const vectors of writesOf(values)) {
      if (vectors.length === 1) await this.#file.write(vectors[0])
      else await this.#file.writev(vectors)
    }
    if (this.#durable) await this.#file.datasync()
  }
}

export async function open(dir, { durable, valueBytes }) {
  const path = fileIn(dir)
  const file = await fs.open(path, 'a+')
  const log = new GroupLog(file, durable)
  return {
    append: (value) => log.append(value),
    appendGroup: (values) => log.writeGroup(values),
    get: (index) => readValue(file.fd, index, valueBytes),
    replay: (visit) => replayFile(path, visit),
    count: () => countValues(file.fd, valueBytes),
    close: () => file.close(),
  }
}
