import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Durability } from '@varve/log'
import { mayHaveLostRecords } from '@varve/replication'
import type { DataDirectories } from '../data-directories.js'
import { writeDurably } from '../durable-file.js'

const bootIdFile = '.varve-boot-id'
const noteFile = '.varve-may-have-lost-records'

/**
 * Whether what a broker finds in its data directories may lack records that it once reported to have. That it may is noted
 * there, and stays so however often the broker is started, until a controller has taken note of it.
 */
export class UncleanRestarts {
  readonly #dir: string
  /** What this start found out, or an earlier one. */
  readonly mayHaveLostRecords: boolean

  private constructor(dir: string, lost: boolean) {
    this.#dir = dir
    this.mayHaveLostRecords = lost
  }

  /**
   * @param found.hasMissingLogs a replica of this broker has no log: the directory, or the whole disk, is another one
   * @param found.cutWholeBatch a recovery has cut off more than a last batch that was incomplete
   */
  static async look(
    directories: DataDirectories,
    found: {
      readonly durability: Durability
      readonly hasMissingLogs: boolean
      readonly cutWholeBatch: boolean
    },
  ): Promise<UncleanRestarts> {
    const { dir } = directories.first
    const [bootId, before, note] = await Promise.all([
      currentBootId(),
      contentOf(join(dir, bootIdFile)),
      contentOf(join(dir, noteFile)),
    ])
    const lost =
      note !== null ||
      found.hasMissingLogs ||
      mayHaveLostRecords({
        durability: found.durability,
        cleanShutdown: directories.all.every(({ cleanShutdown }) => cleanShutdown),
        // Where nobody can tell, it has been.
        rebooted: bootId === null || bootId !== before,
        cutWholeBatch: found.cutWholeBatch,
      })
    if (lost && note === null) await writeDurably(dir, noteFile, '')
    if (bootId !== null && bootId !== before) await writeDurably(dir, bootIdFile, bootId)
    return new UncleanRestarts(dir, lost)
  }

  /** A controller has taken note. */
  async noted(): Promise<void> {
    if (this.mayHaveLostRecords) await rm(join(this.#dir, noteFile), { force: true })
  }
}

async function currentBootId(): Promise<string | null> {
  return (await contentOf('/proc/sys/kernel/random/boot_id'))?.trim() ?? null
}

async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
