import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { openLog } from '@varve/log'

const CHECKPOINT = 'checkpoint.json'

/**
 * A key-value store that keeps everything in memory and survives its process and the power: a change is in the log before
 * it is in the map. Now and then the whole map goes to a file, and the log in front of it is deleted.
 *
 * @template Value
 */
export class Store {
  #dir
  #log
  #checkpointEvery
  /** @type {Map<string, Value>} */
  #values = new Map()
  /** The first offset that {@link #values} does not cover. */
  #next = 0
  #checkpointAt = 0
  #recovered = 0
  /** One at a time. @type {Promise<void> | null} */
  #checkpointing = null

  /** @param {string} dir @param {import('@varve/log').Log} log @param {number} checkpointEvery */
  constructor(dir, log, checkpointEvery) {
    this.#dir = dir
    this.#log = log
    this.#checkpointEvery = checkpointEvery
  }

  /**
   * @template Value
   * @param {string} dir
   * @param {{ checkpointEvery?: number, segmentBytes?: number }} [options] `checkpointEvery` so many changes, default
   * 10,000; `segmentBytes` because the log is deleted in whole segments, default 16 MiB
   * @returns {Promise<Store<Value>>}
   */
  static async open(dir, { checkpointEvery = 10_000, segmentBytes = 16 << 20 } = {}) {
    await mkdir(dir, { recursive: true })
    const log = await openLog(join(dir, 'log'), { segmentBytes })
    const store = new Store(dir, log, checkpointEvery)
    try {
      await store.#load()
      await store.#replay()
      return store
    } catch (error) {
      await log.close()
      throw error
    }
  }

  /** How many changes opening found in the log behind the last checkpoint. */
  get recovered() {
    return this.#recovered
  }

  get size() {
    return this.#values.size
  }

  /** @param {string} key */
  get(key) {
    return this.#values.get(key)
  }

  /** @param {string} key @param {Value} value anything that JSON can hold */
  set(key, value) {
    return this.write([[key, value]])
  }

  /** @param {string} key */
  delete(key) {
    return this.write([[key, undefined]])
  }

  /**
   * Makes several changes, all or none, and resolves when they are on disk. Nobody can read them before.
   *
   * @param {Array<[key: string, value: Value | undefined]>} changes `undefined` deletes
   */
  async write(changes) {
    const records = changes.map(([key, value]) => ({
      key,
      value: value === undefined ? null : JSON.stringify(value),
    }))
    const { lastOffset } = await this.#log.append(records)
    // Appends resolve in the order of their offsets, so that the map changes as a replay would change it.
    for (const [key, value] of changes) this.#apply(key, value)
    this.#next = lastOffset + 1
    if (this.#next - this.#checkpointAt >= this.#checkpointEvery && this.#checkpointing === null) {
      this.checkpoint().catch((error) => process.emitWarning(`no checkpoint was written: ${error.message}`))
    }
  }

  /** Writes the map to its file and deletes the log in front of it. Changes go on meanwhile. */
  checkpoint() {
    this.#checkpointing ??= this.#writeCheckpoint().finally(() => (this.#checkpointing = null))
    return this.#checkpointing
  }

  async close() {
    await this.#checkpointing?.catch(() => {})
    await this.#log.close()
  }

  async #writeCheckpoint() {
    const next = this.#next
    await replaceFile(this.#dir, CHECKPOINT, JSON.stringify({ next, values: [...this.#values] }))
    this.#checkpointAt = next
    // Only now: a crash before leaves the old checkpoint and the log that goes with it, one behind leaves a log that
    // starts earlier than it has to.
    await this.#log.deleteBefore(next)
  }

  async #load() {
    try {
      const { next, values } = JSON.parse(await readFile(join(this.#dir, CHECKPOINT), 'utf8'))
      this.#values = new Map(values)
      this.#next = this.#checkpointAt = next
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
    if (this.#next < this.#log.startOffset) {
      throw new Error(`${join(this.#dir, CHECKPOINT)} is missing or older than the log; restore it`)
    }
  }

  async #replay() {
    for await (const { offset, key, value } of this.#log.read({ from: this.#next })) {
      this.#apply(String(key), value === null ? undefined : JSON.parse(String(value)))
      this.#next = offset + 1
      this.#recovered++
    }
  }

  /** @param {string} key @param {Value | undefined} value */
  #apply(key, value) {
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
  }
}

/**
 * Leaves the old content or the new one, also after a power loss: written beside, fsynced, renamed, the name fsynced.
 *
 * @param {string} dir @param {string} name @param {string} content
 */
async function replaceFile(dir, name, content) {
  const path = join(dir, name)
  await withFile(`${path}.tmp`, 'w', async (file) => {
    await file.writeFile(content)
    await file.sync()
  })
  await rename(`${path}.tmp`, path)
  await withFile(dir, 'r', (directory) => directory.sync())
}

/** @param {string} path @param {string} flags @param {(file: import('node:fs/promises').FileHandle) => Promise<void>} use */
async function withFile(path, flags, use) {
  const file = await open(path, flags)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}
