import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { faketimeLibrary } from '../../../scripts/faketime.mjs'

/** Why no clock can be turned here, or null. */
export const clockMissing =
  faketimeLibrary() === null
    ? 'libfaketime is not installed; install it with: npm run setup:conformance'
    : null

/** Its own folder for what libfaketime leaves in shared memory when its process is killed. */
const WITH_OWN_SHARED_MEMORY = [
  'unshare',
  ['--mount', '--propagation', 'slave', 'sh', '-c', 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', 'sh'],
] as const

/**
 * The wall clock of the processes that are started with it, which can be turned while they run. Monotonic clocks, and with them
 * all timers, go on as they are; so do the times of files. Only what is linked dynamically takes notice: Node does, a program in
 * Go does not.
 */
export class WallClock {
  readonly #file: string
  #offsetMs = 0

  /** @param folder where the clock's file is */
  constructor(folder: string, name: string) {
    this.#file = join(folder, `clock-${name}`)
    this.set(0)
  }

  /** How far it is ahead of the host's clock; negative if it is behind. */
  get offsetMs(): number {
    return this.#offsetMs
  }

  /** From the next time that a process looks, it is so far ahead of the host's. */
  set(offsetMs: number): void {
    this.#offsetMs = offsetMs
    const sign = offsetMs < 0 ? '-' : '+'
    // Nobody must read half of it.
    writeFileSync(`${this.#file}.new`, `${sign}${(Math.abs(offsetMs) / 1000).toFixed(3)}\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }

  jump(byMs: number): void {
    this.set(this.#offsetMs + byMs)
  }

  /** How a command is to be started so that it goes by this clock. */
  turn([command, args]: readonly [string, readonly string[]]): {
    readonly command: readonly [string, readonly string[]]
    readonly env: Readonly<Record<string, string>>
  } {
    const library = faketimeLibrary()
    if (library === null) throw new Error(clockMissing!)
    const [unshare, before] = WITH_OWN_SHARED_MEMORY
    const preloading = ['env', `LD_PRELOAD=${library}`]
    return {
      command: [unshare, [...before, ...preloading, command, ...args]],
      env: {
        FAKETIME_TIMESTAMP_FILE: this.#file,
        // It looks into the file whenever it is asked, for five microseconds.
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        NO_FAKE_STAT: '1',
      },
    }
  }
}
