/** Where the measured files lie, and what that is: the figures of a disk say nothing without it. */
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { arch, cpus, platform, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../../scripts/failure.mjs'
import { root } from '../../scripts/paths.mjs'

const TMPFS = 0x01021994
const FILE_SYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlay'],
  [0x2fc12fc1, 'zfs'],
  [TMPFS, 'tmpfs'],
])

/** A folder that is gone when the run ends, on the disk that `VARVE_BENCH_DIR` names, else that of the system's temporary files. */
export class Workplace {
  #root
  #used = 0

  constructor(parent = process.env.VARVE_BENCH_DIR ?? tmpdir()) {
    this.#root = mkdtempSync(join(parent, 'varve-bench-'))
    process.once('exit', () => this.remove())
  }

  /** One that is a disk's, and that signals from outside leave nothing of either. */
  static onDisk() {
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ])
      process.once(signal, () => process.exit(code))
    const workplace = new Workplace()
    if (!workplace.isMemory) return workplace
    throw new Failure(
      'the folder for temporary files is in memory, where nothing is durable: name one on a disk in VARVE_BENCH_DIR',
    )
  }

  get root() {
    return this.#root
  }

  get fileSystem() {
    const { type } = statfsSync(this.#root)
    return FILE_SYSTEMS.get(type) ?? `file system 0x${type.toString(16)}`
  }

  /** In memory, so that there is nothing to be durable on. */
  get isMemory() {
    return statfsSync(this.#root).type === TMPFS
  }

  /** A new folder's path. */
  next() {
    return mkdtempSync(join(this.#root, `${this.#used++}-`))
  }

  /** Removes a folder and waits until the file system has: the next measurement shall not. */
  discard(dir) {
    rmSync(dir, { recursive: true, force: true })
    const root = openSync(this.#root)
    fsyncSync(root)
    closeSync(root)
  }

  remove() {
    // Processes that were killed a moment ago may still make files.
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

export function machine() {
  return `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}, Node ${process.version}`
}

export const varveVersion = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
