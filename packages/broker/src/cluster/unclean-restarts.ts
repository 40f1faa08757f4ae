import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, type Durability } from '@varve/log'
import { mayHaveLostRecords } from '@varve/replication'
import type { DataDirectories } from '../data-directories.js'
import { writeDurably } from '../durable-file.js'
import { inParallel } from '../in-parallel.js'

const bootIdFile = '.varve-boot-id'
const noteFile = '.varve-may-have-lost-records'
/** Is there while logs are recovered; it names the cut files that were there before. */
const recoveringFile = '.varve-recovering'

const listedAtOnce = 100

/**
 * Whether what a broker finds in its data directories may lack records that it once reported to have. That it may is noted
 * there, and stays so however often the broker is started, until a controller has taken note of it.
 *
 * What a recovery cuts off or an opening creates, the next start would not miss. A start may end at any point, so each thing is
 * noted before it can be covered up.
 */
export class UncleanRestarts {
  readonly #directories: DataDirectories
  readonly #durability: Durability
  readonly #rebooted: boolean
  /** The cut files that this recovery, or an earlier one that was interrupted, has found; null where nothing is recovered. */
  readonly #cutBefore: ReadonlySet<string> | null
  #mayHaveLostRecords: boolean

  private constructor(
    directories: DataDirectories,
    durability: Durability,
    found: {
      readonly rebooted: boolean
      readonly cutBefore: ReadonlySet<string> | null
      readonly noted: boolean
    },
  ) {
    this.#directories = directories
    this.#durability = durability
    this.#rebooted = found.rebooted
    this.#cutBefore = found.cutBefore
    this.#mayHaveLostRecords = found.noted
  }

  /** To be called before any log is opened. */
  static async open(directories: DataDirectories, durability: Durability): Promise<UncleanRestarts> {
    const { dir } = directories.first
    const [bootId, before, note, recovering] = await Promise.all([
      currentBootId(),
      contentOf(join(dir, bootIdFile)),
      contentOf(join(dir, noteFile)),
      contentOf(join(dir, recoveringFile)),
    ])
    // The logs of a start that failed midway are closed cleanly all the same.
    const isClean = recovering === null && directories.all.every(({ cleanShutdown }) => cleanShutdown)
    let cutBefore: ReadonlySet<string> | null = null
    if (recovering !== null) cutBefore = new Set(JSON.parse(recovering) as string[])
    else if (!isClean) cutBefore = await cutFiles(directories)
    // Where nobody can tell, it has been.
    const rebooted = bootId === null || bootId !== before
    const restarts = new UncleanRestarts(directories, durability, {
      rebooted,
      cutBefore,
      noted: note !== null,
    })
    if (cutBefore !== null && recovering === null)
      await writeDurably(dir, recoveringFile, JSON.stringify([...cutBefore]))
    await restarts.#look(false)
    if (bootId !== null && bootId !== before) await writeDurably(dir, bootIdFile, bootId)
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
    const before = this.#cutBefore
    if (before === null) return
    const cut = await cutFiles(this.#directories)
    await this.#look([...cut].some((path) => !before.has(path)))
    const { dir } = this.#directories.first
    await rm(join(dir, recoveringFile), { force: true })
    await syncDirectory(dir)
  }

  /** A controller has taken note. */
  async noted(): Promise<void> {
    if (this.#mayHaveLostRecords) await rm(join(this.#directories.first.dir, noteFile), { force: true })
  }

  async #look(cutWholeBatch: boolean): Promise<void> {
    const found = {
      durability: this.#durability,
      cleanShutdown: this.#cutBefore === null,
      rebooted: this.#rebooted,
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
    for (const { dir } of places) {
      // A replica may be on its way elsewhere by now.
      const files = await unlessMissing(readdir(join(dir, name)))
      for (const file of files ?? []) if (file.endsWith('.cut')) found.add(`${name}/${file}`)
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
