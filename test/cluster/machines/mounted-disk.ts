import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { command } from './command.js'

/** `tmpfs` is in memory, and nothing that an fsync could wait for; `ext4` is a file with a real journal. */
export type DiskKind = 'tmpfs' | 'ext4'

const CHUNKS = [1 << 20, 4096, 1]

/** A small file system of its own for a data directory, which can be filled up and freed, and can fail and be replaced. */
export class MountedDisk {
  /** Where it is mounted. */
  readonly directory: string
  readonly #ballast: string
  #image: string | null
  readonly #mib: number
  #mounted = 0

  /**
   * @param folder where it is mounted, under `name`
   * @param mib how large it is; ext4 keeps some for itself
   */
  constructor(folder: string, name: string, mib: number, kind: DiskKind = 'tmpfs') {
    this.directory = join(folder, `disk-${name}`)
    this.#ballast = join(this.directory, 'ballast')
    this.#image = null
    this.#mib = mib
    mkdirSync(this.directory)
    if (kind === 'tmpfs') command('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', this.directory])
    else this.#image = this.#mountEmpty()
  }

  /** Does what ext4 does of itself when its disk fails under it: the journal is given up, and every write is refused from then on. */
  fail(): void {
    command('mount', ['-o', 'remount,abort', this.directory])
  }

  /** Puts an empty disk in its place. */
  replace(): void {
    if (this.#image === null) throw new Error('what is in memory has no disk to replace')
    this.unmount()
    this.#image = this.#mountEmpty()
  }

  /** Mounts a new file as an ext4, and returns its path. */
  #mountEmpty(): string {
    // Another one each time: whoever else has a copy of the mounts keeps the old one alive.
    const image = `${this.directory}.image-${++this.#mounted}`
    command('truncate', ['-s', `${this.#mib}M`, image])
    // Nothing kept back for root, who we are.
    command('mkfs.ext4', ['-q', '-m', '0', image])
    command('mount', ['-o', 'loop', image, this.directory])
    return image
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
