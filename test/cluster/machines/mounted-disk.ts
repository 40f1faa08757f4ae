import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { command } from './command.js'

/** `tmpfs` is in memory, and nothing that an fsync could wait for; `ext4` is a file with a real journal. */
export type DiskKind = 'tmpfs' | 'ext4'

const CHUNKS = [1 << 20, 4096, 1]

/** A small file system of its own for a data directory, which can be filled up and freed. */
export class MountedDisk {
  /** Where it is mounted. */
  readonly directory: string
  readonly #ballast: string
  readonly #image: string | null

  /**
   * @param folder where it is mounted, under `name`
   * @param mib how large it is; ext4 keeps some for itself
   */
  constructor(folder: string, name: string, mib: number, kind: DiskKind = 'tmpfs') {
    this.directory = join(folder, `disk-${name}`)
    this.#ballast = join(this.directory, 'ballast')
    this.#image = kind === 'ext4' ? `${this.directory}.image` : null
    mkdirSync(this.directory)
    if (this.#image === null) {
      command('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', this.directory])
      return
    }
    command('truncate', ['-s', `${mib}M`, this.#image])
    // Nothing kept back for root, who we are.
    command('mkfs.ext4', ['-q', '-m', '0', this.#image])
    command('mount', ['-o', 'loop', this.#image, this.directory])
  }

  /** Takes all the room that is left, to the last byte. May be asked again when somebody has freed some. */
  fill(): void {
    const file = openSync(this.#ballast, 'a')
    try {
      for (const size of CHUNKS) writeUntilFull(file, Buffer.alloc(size))
    } finally {
      closeSync(file)
    }
  }

  /** Gives the room back. */
  free(): void {
    rmSync(this.#ballast, { force: true })
  }

  /** Also while something still has files there open. */
  unmount(): void {
    command('umount', ['--lazy', this.directory])
    if (this.#image !== null) rmSync(this.#image)
  }
}

function writeUntilFull(file: number, chunk: Buffer): void {
  try {
    for (;;) writeSync(file, chunk)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
