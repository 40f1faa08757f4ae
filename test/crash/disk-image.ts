import { execFileSync, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { startChild } from '../support/children.js'
import { temporaryDirectory } from '../support/tree.js'

const HOW = 'install it with: npm run setup:conformance'
export type FileSystem = 'ext4' | 'xfs'

/** xfs takes no less than 300 MB; the files are sparse. */
const IMAGE_BYTES = 512 << 20

const mounted = new Set<DiskImage>()
afterAll(() => {
  // What still runs on it ends with the test file.
  for (const { dir } of mounted) execFileSync('umount', ['--lazy', dir], { stdio: 'pipe' })
})

/** A file system in a file, whose power can be cut. */
export class DiskImage {
  readonly dir: string
  readonly #image: string
  /** ext4 would commit its journal every five seconds, and save on a busy machine what a test wants lost. */
  readonly #options: string
  #switch: ChildProcess | null = null

  /** @throws what `mkfs` or `mount` say */
  constructor(fileSystem: FileSystem) {
    const folder = temporaryDirectory()
    this.dir = join(folder, 'mounted')
    this.#image = join(folder, 'image')
    mkdirSync(this.dir)
    execFileSync('truncate', ['-s', String(IMAGE_BYTES), this.#image])
    this.#options = fileSystem === 'ext4' ? 'loop,commit=600' : 'loop'
    execFileSync(`mkfs.${fileSystem}`, ['-q', this.#image], { stdio: 'pipe' })
  }

  mount(): void {
    execFileSync('mount', ['-o', this.#options, this.#image, this.dir], { stdio: 'pipe' })
    mounted.add(this)
  }

  /** Gets ready to cut the power, so that it takes no time then: what is being written meanwhile would be saved. */
  arm(): void {
    this.#switch = startChild('xfs_io', ['-x', this.dir])
  }

  /** Everything that is not on the disk by now is lost; what has not been written in the journal has not happened. */
  async cutPower(): Promise<void> {
    // FS_IOC_SHUTDOWN, which ext4 has taken over from xfs, without flushing the journal.
    await this.#end('shutdown\n')
  }

  /** Disarms it as well. */
  async unmount(): Promise<void> {
    await this.#end()
    execFileSync('umount', [this.dir], { stdio: 'pipe' })
    mounted.delete(this)
  }

  async #end(command?: string): Promise<void> {
    const ending = this.#switch
    this.#switch = null
    if (ending === null) return
    const ended = once(ending, 'close')
    ending.stdin!.end(command)
    await ended
  }
}

/** Why the power of such a file system cannot be cut here, or null. */
export async function powerLossMissing(fileSystem: FileSystem): Promise<string | null> {
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
    image.arm()
    await image.cutPower()
    await image.unmount()
  } catch (error) {
    return `no loop device with ${fileSystem} can be mounted and shut down here: ${String(error).split('\n')[0]}`
  }
  return null
}
