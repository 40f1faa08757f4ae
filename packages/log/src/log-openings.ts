import type { Failure, NativeChangedLogs, NativeDirectory, NativeLog, NativeWanted } from '@varve/native'

interface Opening {
  readonly wanted: NativeWanted
  readonly resolve: (opened: NativeLog | Failure) => void
  readonly reject: (error: unknown) => void
}

/**
 * Opens the logs of one data directory. Those that are asked for in one turn of the event loop are opened together, so that
 * what they need of the directory becomes durable once for all of them.
 */
export class LogOpenings {
  readonly #directory: NativeDirectory
  #waiting: Opening[] = []

  constructor(directory: NativeDirectory) {
    this.#directory = directory
  }

  open(wanted: NativeWanted, changedLogs: NativeChangedLogs): Promise<NativeLog | Failure> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wanted, resolve, reject })
      if (this.#waiting.length === 1) setImmediate(() => void this.#openWaiting(changedLogs))
    })
  }

  async #openWaiting(changedLogs: NativeChangedLogs): Promise<void> {
    const openings = this.#waiting
    this.#waiting = []
    try {
      const wanted = openings.map((opening) => opening.wanted)
      const opened = await this.#directory.openLogs(wanted, changedLogs)
      for (const [index, { resolve }] of openings.entries()) {
        resolve(Array.isArray(opened) ? opened[index]! : opened)
      }
    } catch (error) {
      for (const { reject } of openings) reject(error)
    }
  }
}
