import type { MetadataOutcome } from '../metadata-store.js'

/**
 * Which pieces of work, by key, are to be looked at. One whose transaction is under way waits for its outcome, and after that until the
 * image has it, so that nothing is decided by what is known to be old; one whose transaction failed, or may have, waits a while.
 */
export class WorkQueue {
  readonly #retryBackoffMs: number
  readonly #due = new Set<string>()
  readonly #busy = new Set<string>()
  readonly #backingOff = new Map<string, number>()
  #committed: { readonly revision: number; readonly keys: readonly string[] }[] = []

  constructor(retryBackoffMs: number) {
    this.#retryBackoffMs = retryBackoffMs
  }

  /** The piece of work is to be looked at: something has changed about it, so it waits for nothing but its transaction. */
  mark(key: string): void {
    if (!this.#busy.has(key)) {
      this.#backingOff.delete(key)
      this.#due.add(key)
    }
  }

  /** The same, but it goes on waiting where it failed: something else has changed. */
  remind(key: string): void {
    if (!this.#backingOff.has(key)) {
      this.mark(key)
    }
  }

  /** A transaction for these is under way. */
  begun(keys: readonly string[]): void {
    for (const key of keys) {
      this.#busy.add(key)
    }
  }

  /** Their transaction has ended, as far as anybody can tell. */
  settled(keys: readonly string[], outcome: MetadataOutcome, imageRevision: number, now: number): void {
    if (outcome.kind === 'succeeded') {
      this.#committed.push({ revision: outcome.revision, keys })
      this.imageReached(imageRevision)
      return
    }
    for (const key of keys) {
      this.#busy.delete(key)
      this.#backingOff.set(key, now)
    }
  }

  /** The image has everything up to a revision. */
  imageReached(revision: number): void {
    if (this.#committed.length === 0) {
      return
    }
    const seen = this.#committed.filter((each) => each.revision <= revision)
    this.#committed = this.#committed.filter((each) => each.revision > revision)
    for (const key of seen.flatMap(({ keys }) => keys)) {
      this.#busy.delete(key)
      this.#due.add(key)
    }
  }

  /** Those that are to be looked at now. The caller does, and marks them again if need be. */
  takeDue(now: number): readonly string[] {
    for (const [key, since] of this.#backingOff) {
      // A clock that was set back does not make anything wait for longer.
      if (now - since >= this.#retryBackoffMs || now < since) {
        this.mark(key)
      }
    }
    const due = [...this.#due]
    this.#due.clear()
    return due
  }

  /** Whether nothing is to be looked at, now or later, and nothing is under way. */
  get isIdle(): boolean {
    return this.#due.size === 0 && this.#busy.size === 0 && this.#backingOff.size === 0
  }
}
