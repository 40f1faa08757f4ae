import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, type Durability } from '@varve/log'
import { mayHaveLostRecords } from '@varve/replication'
import type { DataDirectories } from '../data-directories.js'
import { writeDurably } from '../durable-file.js'
import { inParallel } from '../in-parallel.js'
import { isDeleted, isStray } from '../stray-directory.js'

/** Under which boot of the machine, and which policy, the broker ran last. */
const lastRunFile = '.varve-last-run'
const noteFile = '.varve-may-have-lost-records'
/** Is there while logs are recovered; it names the cut files that were there before. */
const recoveringFile = '.varve-recovering'

const listedAtOnce = 100

/** What of a run decides what may be lost after it. */
interface Run {
  /** Null where nobody can tell. */
  readonly bootId: string | null
  readonly durability: Durability
}

/**
 * Whether what a broker finds in its data directories may lack records that it once reported to have. That it may is noted
 * there, and stays so however often the broker is started, until a controller has taken note of it.
 *
 * What a recovery cuts off or an opening creates, the next start would not miss. A start may end at any point, so each thing is
 * noted before it can be covered up.
 */
export class UncleanRestarts {
  readonly #directories: DataDirectories
  readonly #last: Run
  readonly #current: Run
  /** The cut files that this recovery, or an earlier one that was interrupted, has found; null where nothing is recovered. */
  readonly #cutBefore: ReadonlySet<string> | null
  #mayHaveLostRecords: boolean

  private constructor(
    directories: DataDirectories,
    runs: { readonly last: Run; readonly current: Run },
    cutBefore: ReadonlySet<string> | null,
    isNoted: boolean,
  ) {
    this.#directories = directories
    this.#last = runs.last
    this.#current = runs.current
    this.#cutBefore = cutBefore
    this.#mayHaveLostRecords = isNoted
  }

  /**
   * To be called before any log is opened.
   *
   * @param durability the broker's from now on; what is found was written under that of its last run
   */
  static async open(directories: DataDirectories, durability: Durability): Promise<UncleanRestarts> {
    const { dir } = directories.first
    const [bootId, lastRun, note, recovering] = await Promise.all([
      currentBootId(),
      contentOf(join(dir, lastRunFile)),
      contentOf(join(dir, noteFile)),
      contentOf(join(dir, recoveringFile)),
    ])
    const last = lastRun === null ? { bootId: null, durability } : (JSON.parse(lastRun) as Run)
    // The logs of a start that failed midway are closed cleanly all the same.
    const isClean = recovering === null && directories.all.every(({ cleanShutdown }) => cleanShutdown)
    let cutBefore: ReadonlySet<string> | null = null
    if (recovering !== null) cutBefore = new Set(JSON.parse(recovering) as string[])
    else if (!isClean) {
      cutBefore = await cutFiles(directories)
      await writeDurably(dir, recoveringFile, JSON.stringify([...cutBefore]))
    }
    const runs = { last, current: { bootId, durability } }
    const restarts = new UncleanRestarts(directories, runs, cutBefore, note !== null)
    await restarts.#look(false)
    return restarts
  }

  /** What this start found out, or an earlier one. */
  get mayHaveLostRecords(): boolean {
    return this.#mayHaveLostRecords
  }

  /** A replica of this broker has no log: the directory, or the whole disk, is another one. To be called before it has one again. */
  async logsAreMissing(): Promise<void> {
    await this.#note()
  }

  /** All logs have been opened. */
  async recovered(): Promise<void> {
    const { dir } = this.#directories.first
    const before = this.#cutBefore
    if (before !== null) {
      const cut = await cutFiles(this.#directories)
      await this.#look([...cut].some((path) => !before.has(path)))
    }
    const [last, current] = [this.#last, this.#current].map((run) => JSON.stringify(run))
    if (last !== current) await writeDurably(dir, lastRunFile, current!)
    if (before === null) return
    await rm(join(dir, recoveringFile), { force: true })
    await syncDirectory(dir)
  }

  /** A controller has taken note. */
  async noted(): Promise<void> {
    if (this.#mayHaveLostRecords) await rm(join(this.#directories.first.dir, noteFile), { force: true })
  }

  async #look(cutWholeBatch: boolean): Promise<void> {
    const { bootId, durability } = this.#last
    const found = {
      durability,
      cleanShutdown: this.#cutBefore === null,
      // Where nobody can tell, it has been.
      rebooted: bootId === null || bootId !== this.#current.bootId,
      cutWholeBatch,
    }
    if (mayHaveLostRecords(found)) await this.#note()
  }

  async #note(): Promise<void> {
    if (this.#mayHaveLostRecords) return
    await writeDurably(this.#directories.first.dir, noteFile, '')
    this.#mayHaveLostRecords = true
  }
}

/** What recoveries have kept aside: whole batches that they cut off. */
async function cutFiles(directories: DataDirectories): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  await inParallel([...(await directories.places())], listedAtOnce, async ([name, places]) => {
    if (isStray(name) || isDeleted(name)) return
    for (const { dir, directoryId } of places) {
      // A replica may be on its way elsewhere by now.
      const files = await unlessMissing(readdir(join(dir, name)))
      for (const file of files ?? []) if (file.endsWith('.cut')) found.add(`${directoryId}/${name}/${file}`)
    }
  })
  return found
}

async function currentBootId(): Promise<string | null> {
  return (await contentOf('/proc/sys/kernel/random/boot_id'))?.trim() ?? null
}

async function contentOf(path: string): Promise<string | null> {
  return await unlessMissing(readFile(path, 'utf8'))
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
