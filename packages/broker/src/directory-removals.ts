import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type BrokerLog, errorFields, messageOf } from './broker-log.js'
import type { Clock, Timer } from './clock.js'
import { isDeleted } from './stray-directory.js'

/** Removes directories that have been renamed to `…-delete`, now or later; what the broker does not get to, the next start does. */
export class DirectoryRemovals {
  readonly #clock: Clock
  readonly #log: BrokerLog
  readonly #timers = new Set<Timer>()
  readonly #removals = new Set<Promise<void>>()

  constructor({ clock, log }: { readonly clock: Clock; readonly log: BrokerLog }) {
    this.#clock = clock
    this.#log = log
  }

  /** Begins to remove what earlier runs of the broker have left in these data directories. */
  async resume(dataDirectories: readonly string[]): Promise<void> {
    for (const dir of dataDirectories) {
      for (const name of (await readdir(dir)).filter(isDeleted)) this.#remove(join(dir, name))
    }
  }

  /** Removes directories `delayMs` from now. */
  schedule(paths: readonly string[], delayMs: number): void {
    if (paths.length === 0) return
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer)
      for (const path of paths) this.#remove(path)
    }, delayMs)
    this.#timers.add(timer)
  }

  /** Leaves to the next start what is not due yet, and waits for what is being removed. */
  async close(): Promise<void> {
    for (const timer of this.#timers) this.#clock.clearTimeout(timer)
    this.#timers.clear()
    await Promise.all(this.#removals)
  }

  #remove(path: string): void {
    const removal = rm(path, { recursive: true, force: true }).catch((error: unknown) => {
      this.#log(
        'warn',
        `could not remove ${path} of a deleted topic: ${messageOf(error)}; the next start tries again`,
        errorFields(error),
      )
    })
    this.#removals.add(removal)
    void removal.then(() => this.#removals.delete(removal))
  }
}
