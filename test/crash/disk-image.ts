import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { temporaryDirectory } from '../support/tree.js'

const HOW = 'install it with: npm run setup:conformance'
export type FileSystem = 'ext4' | 'xfs'

/** xfs takes no less than 300 MB; the files are sparse. */
const IMAGE_BYTES = 512 << 20

const mounted = new Set<DiskImage>()
afterAll(() => {
  for (const image of mounted) image.unmount()
})

/** A file system in a file, whose power can be cut. */
export class DiskImage {
  readonly dir: string
  readonly #image: string

  /** @throws what `mkfs` or `mount` say */
  constructor(fileSystem: FileSystem) {
    const folder = temporaryDirectory()
    this.dir = join(folder, 'mounted')
    this.#image = join(folder, 'image')
    mkdirSync(this.dir)
    execFileSync('truncate', ['-s', String(IMAGE_BYTES), this.#image])
    execFileSync(`mkfs.${fileSystem}`, ['-q', this.#image], { stdio: 'pipe' })
  }

  mount(): void {
    execFileSync('mount', ['-o', 'loop', this.#image, this.dir], { stdio: 'pipe' })
    mounted.add(this)
  }

  /** Everything that is not on the disk by now is lost; what has not been written in the journal has not happened. */
  cutPower(): void {
    // FS_IOC_SHUTDOWN, which ext4 has taken over from xfs, without flushing the journal.
    execFileSync('xfs_io', ['-x', '-c', 'shutdown', this.dir], { stdio: 'pipe' })
  }

  unmount(): void {
    execFileSync('umount', [this.dir], { stdio: 'pipe' })
    mounted.delete(this)
  }
}

/** Why the power of such a file system cannot be cut here, or null. */
export function powerLossMissing(fileSystem: FileSystem): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return 'run as root on Linux, who may mount file systems'
  }
  for (const [command, flag] of [
    [`mkfs.${fileSystem}`, '-V'],
    ['xfs_io', '-V'],
    ['mount', '-V'],
  ] as const) {
    if (spawnSync(command, [flag]).error !== undefined) return `${command} is not installed; ${HOW}`
  }
  try {
    const image = new DiskImage(fileSystem)
    image.mount()
    image.cutPower()
    image.unmount()
  } catch (error) {
    return `no loop device with ${fileSystem} can be mounted and shut down here: ${String(error).split('\n')[0]}`
  }
  return null
}
