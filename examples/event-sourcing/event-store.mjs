import { openDataDirectory } from '@varve/log'

/**
 * What events mean for one kind of aggregate.
 *
 * @template State, Event
 * @typedef {{ initial: State, evolve: (state: State, event: Event) => State }} Aggregate
 */

/** Somebody else was faster: load the aggregate again and decide anew. */
export class ConflictError extends Error {
  /** @param {string} id @param {number} version */
  constructor(id, version) {
    super(`${id} has moved on from version ${version}; load it again and decide anew`)
    this.name = 'ConflictError'
  }
}

/**
 * Aggregates of one kind, each the sum of its events. The events of all lie in one log, in the order in which they
 * happened; the present states are kept in memory, and in a snapshot from time to time, so that opening replays only
 * what happened since.
 *
 * @template State, Event
 */
export class EventStore {
  #directory
  #events
  #snapshots
  #aggregate
  #snapshotEvery
  /** What is on disk. @type {Map<string, { version: number, state: State }>} */
  #present = new Map()
  /** What is on its way there. @type {Map<string, Promise<unknown>>} */
  #pending = new Map()
  /** The first offset that {@link #present} does not cover. */
  #next = 0
  #snapshotAt = 0
  #replayed = 0

  /**
   * @param {import('@varve/log').DataDirectory} directory
   * @param {import('@varve/log').Log} events
   * @param {import('@varve/log').Log} snapshots
   * @param {Aggregate<State, Event>} aggregate
   * @param {number} snapshotEvery
   */
  constructor(directory, events, snapshots, aggregate, snapshotEvery) {
    this.#directory = directory
    this.#events = events
    this.#snapshots = snapshots
    this.#aggregate = aggregate
    this.#snapshotEvery = snapshotEvery
  }

  /**
   * @template State, Event
   * @param {string} dir
   * @param {Aggregate<State, Event>} aggregate
   * @param {{ snapshotEvery?: number }} [options] after how many events to take a snapshot; default 1000
   * @returns {Promise<EventStore<State, Event>>}
   */
  static async open(dir, aggregate, { snapshotEvery = 1000 } = {}) {
    const directory = await openDataDirectory(dir)
    try {
      const events = await directory.openLog('events')
      // Losing a snapshot costs time, not data, so that the page cache will do. Each is one batch, there or not there.
      const snapshots = await directory.openLog('snapshots', {
        durability: 'os',
        maxBatchBytes: 256 << 20,
        // Older ones are deleted, whole segments at a time.
        segmentBytes: 64 << 20,
      })
      const store = new EventStore(directory, events, snapshots, aggregate, snapshotEvery)
      await store.#restore()
      await store.#replay()
      return store
    } catch (error) {
      await directory.close()
      throw error
    }
  }

  /** How many events opening had to replay: those behind the last snapshot. */
  get replayed() {
    return this.#replayed
  }

  /**
   * The present of an aggregate; version 0 and the initial state when nothing has happened to it.
   *
   * @param {string} id
   */
  load(id) {
    return this.#present.get(id) ?? { version: 0, state: this.#aggregate.initial }
  }

  /**
   * Adds events to an aggregate, all or none, and resolves when they are on disk.
   *
   * @param {string} id
   * @param {number} expectedVersion of the state that the events were decided on
   * @param {readonly Event[]} events
   * @throws ConflictError when something has happened to the aggregate since
   */
  async append(id, expectedVersion, events) {
    const isStale = this.#pending.has(id) || this.load(id).version !== expectedVersion
    if (isStale) throw new ConflictError(id, expectedVersion)
    if (events.length === 0) return this.load(id)
    // No pause since the check: of two who decided on the same version, the second one meets the promise of the first.
    const appending = this.#append(id, events)
    this.#pending.set(id, appending)
    try {
      await appending
    } finally {
      this.#pending.delete(id)
    }
    return this.load(id)
  }

  /**
   * Loads, decides and appends; decides anew when somebody else was faster.
   *
   * @param {string} id
   * @param {(state: State) => readonly Event[]} decide what is to happen; throws to refuse
   */
  async execute(id, decide) {
    for (;;) {
      const { version, state } = this.load(id)
      try {
        return await this.append(id, version, decide(state))
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error
        // Whoever was faster tells its own caller how it went.
        await this.#pending.get(id)?.catch(() => {})
      }
    }
  }

  /**
   * Everything that happened to an aggregate, from the log.
   *
   * @param {string} id
   * @returns {AsyncGenerator<Event>}
   */
  async *history(id) {
    for await (const { key, value } of this.#events.read()) {
      if (String(key) === id) yield JSON.parse(String(value))
    }
  }

  /** Saves the present of all aggregates, so that the next opening starts from there. */
  async snapshot() {
    this.#snapshotAt = this.#next
    const states = Array.from(this.#present, ([key, present]) => ({ key, value: JSON.stringify(present) }))
    const { baseOffset } = await this.#snapshots.append([{ key: null, value: String(this.#next) }, ...states])
    await this.#snapshots.deleteBefore(baseOffset)
  }

  close() {
    return this.#directory.close()
  }

  /** @param {string} id @param {readonly Event[]} events */
  async #append(id, events) {
    const records = events.map((event) => ({ key: id, value: JSON.stringify(event) }))
    const { lastOffset } = await this.#events.append(records)
    // Appends resolve in the order of their offsets: the present moves as a replay would move it.
    for (const event of events) this.#apply(id, event)
    this.#next = lastOffset + 1
    if (this.#next - this.#snapshotAt >= this.#snapshotEvery) {
      this.snapshot().catch((error) => process.emitWarning(`no snapshot was taken: ${error.message}`))
    }
  }

  async #restore() {
    const last = Math.max(this.#snapshots.endOffset - 1, 0)
    for await (const batch of this.#snapshots.readBatches({ from: last })) {
      for (const { key, value } of batch.records()) {
        if (key === null) this.#next = Number(value)
        else this.#present.set(String(key), JSON.parse(String(value)))
      }
    }
    this.#snapshotAt = this.#next
  }

  async #replay() {
    for await (const { offset, key, value } of this.#events.read({ from: this.#next })) {
      this.#apply(String(key), JSON.parse(String(value)))
      this.#next = offset + 1
      this.#replayed++
    }
  }

  /** @param {string} id @param {Event} event */
  #apply(id, event) {
    const { version, state } = this.load(id)
    this.#present.set(id, { version: version + 1, state: this.#aggregate.evolve(state, event) })
  }
}
