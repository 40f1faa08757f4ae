import { createHash } from 'node:crypto'
import { openLog } from '@varve/log'

/**
 * @typedef {{ actor: string, action: string, subject: string, details?: unknown }} Action who did what to what
 * @typedef {{ offset: number, hash: string }} Seal an entry's place, and a hash of it and of everything before it
 * @typedef {Action & Seal & { at: string }} Entry
 */

/** What the first entry has in front of it. */
const GENESIS = '0'.repeat(64)
/** Far below the largest batch that the log takes. */
const LARGEST_ENTRY = 64 << 10

/** The trail does not say what it said when its entries were written. */
export class TamperedError extends Error {
  /** @param {number} offset @param {string} what */
  constructor(offset, what) {
    super(`the audit log was changed: entry ${offset} ${what}`)
    this.name = 'TamperedError'
    this.offset = offset
  }
}

/**
 * An audit trail: entries are only ever added, and each carries a hash over itself and the hash of the entry before it.
 * Whoever changes, removes or inserts one has to write every later one anew, and is found out by {@link verify} with a
 * {@link head} that was noted elsewhere.
 */
export class AuditLog {
  #log
  #now
  /** What the next entry follows, whether that is on disk yet or not. */
  #hash = GENESIS
  #next = 0
  /** @type {Seal | null} */
  #head = null

  /** @param {import('@varve/log').Log} log @param {() => number} now */
  constructor(log, now) {
    this.#log = log
    this.#now = now
  }

  /** @param {string} dir @param {{ now?: () => number }} [options] */
  static async open(dir, { now = Date.now } = {}) {
    const log = await openLog(dir, { durability: 'fsync' })
    const audit = new AuditLog(log, now)
    audit.#next = log.endOffset
    for await (const { offset, hash } of audit.entries(log.endOffset - 1)) {
      audit.#hash = hash
      audit.#head = { offset, hash }
    }
    return audit
  }

  /**
   * Resolves when the entry is on disk. Entries that are recorded without waiting for each other share an fsync; their
   * order is that of the calls.
   *
   * @param {Action} action
   * @returns {Promise<Seal>}
   */
  async record({ actor, action, subject, details }) {
    const value = JSON.stringify({ at: new Date(this.#now()).toISOString(), actor, action, subject, details })
    // Refused before it becomes a link of the chain. From here on only a failed log can refuse it, and that one takes
    // nothing else either.
    if (Buffer.byteLength(value) > LARGEST_ENTRY) {
      throw new RangeError(`an audit entry may have ${LARGEST_ENTRY} bytes; put a reference into the details`)
    }
    const hash = link(this.#hash, value)
    const seal = { offset: this.#next++, hash }
    this.#hash = hash
    await this.#log.append([{ value, headers: { hash } }])
    this.#head = seal
    return seal
  }

  /** Of the last entry on disk, to be noted where nobody who can write here can write; null without entries. */
  get head() {
    return this.#head
  }

  /**
   * The entries from an offset on, as they stand there, {@link verify verified} or not.
   *
   * @param {number} [from]
   * @returns {AsyncGenerator<Entry>}
   */
  async *entries(from = 0) {
    for await (const { offset, value, headers } of this.#log.read({ from: Math.max(from, 0) })) {
      yield { ...JSON.parse(String(value)), offset, hash: hashIn(headers) }
    }
  }

  /**
   * Reads everything and computes every hash again.
   *
   * @param {Seal | null} [noted] a {@link head} of some time ago: without one, a trail that was cut short or written anew
   * as a whole looks as good as the real one
   * @returns {Promise<number>} how many entries there are
   * @throws TamperedError
   */
  async verify(noted = null) {
    let [next, previous] = [0, GENESIS]
    for await (const { offset, value, headers } of this.#log.read()) {
      const hash = hashIn(headers)
      if (offset !== next) throw new TamperedError(next, 'is missing')
      if (link(previous, String(value)) !== hash) throw new TamperedError(offset, 'does not match its hash')
      if (offset === noted?.offset && hash !== noted?.hash) throw new TamperedError(offset, 'is another one')
      previous = hash
      next++
    }
    if (noted !== null && next <= noted.offset) throw new TamperedError(next, 'is missing')
    return next
  }

  close() {
    return this.#log.close()
  }
}

/** @param {string} previous @param {string} value */
function link(previous, value) {
  return createHash('sha256').update(previous).update(value).digest('hex')
}

/** @param {import('@varve/log').LogRecord['headers']} headers */
function hashIn(headers) {
  return String(headers.find(([name]) => name === 'hash')?.[1])
}
