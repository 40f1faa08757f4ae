import { basename, dirname, join, resolve } from 'node:path'
import { openEngineDirectory, type DataDirectoryOptions, type EngineDirectory } from './data-directory.js'
import { exists, realPath } from './existing-path.js'

interface Shared {
  readonly directory: Promise<EngineDirectory>
  users: number
  /** Set with the last user's leaving; whoever comes later waits for it and opens anew. */
  closed: Promise<void> | null
}

/** By their real paths: a directory has one lock, and topics of this process use it together. */
const open = new Map<string, Shared>()

/** One name for a directory, whatever links lead to it and whether it is there yet. */
export function realPathOf(dir: string): string {
  const path = resolve(dir)
  if (exists(path)) return realPath(path)
  const parent = dirname(path)
  return parent === path ? path : join(realPathOf(parent), basename(path))
}

/** The data directory, opened if no topic of this process has it. Give it back by {@link releaseDirectory}. */
export async function shareDirectory(path: string, options: DataDirectoryOptions): Promise<EngineDirectory> {
  for (let shared = open.get(path); shared !== undefined; shared = open.get(path)) {
    if (shared.closed === null) {
      shared.users++
      return shared.directory
    }
    await shared.closed.catch(() => {})
  }
  const directory = openEngineDirectory(path, options)
  open.set(path, { directory, users: 1, closed: null })
  directory.catch(() => open.delete(path))
  return directory
}

/** Closes the directory with its last user. */
export async function releaseDirectory(directory: EngineDirectory): Promise<void> {
  const path = directory.dir
  const shared = open.get(path)!
  if (--shared.users > 0) return
  shared.closed = directory.close().finally(() => open.delete(path))
  await shared.closed
}
