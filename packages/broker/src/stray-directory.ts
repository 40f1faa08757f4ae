import { randomBytes } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'

/** The longest file name of the file systems we know. */
const longestFileName = 255

/** Whether a directory has been put aside already. */
export function isStray(name: string): boolean {
  return name.endsWith('-stray')
}

/** Whether a directory is that of a deleted topic, and about to be removed. */
export function isDeleted(name: string): boolean {
  return name.endsWith('-delete')
}

/**
 * Renames a partition directory that no topic owns to `<name>.<random>-stray`, as Kafka does. It is never deleted:
 * somebody's records may be in it.
 *
 * @returns the new name
 */
export async function putAside(dataDirectory: string, name: string): Promise<string> {
  return await renameAway(dataDirectory, name, 'stray')
}

/**
 * Renames a partition directory to `<name>.<random>-<what>`.
 *
 * @returns the new name
 */
export async function renameAway(
  dataDirectory: string,
  name: string,
  what: 'stray' | 'delete',
): Promise<string> {
  const suffix = `.${randomBytes(16).toString('hex')}-${what}`
  const renamed = name.slice(0, longestFileName - suffix.length) + suffix
  await rename(join(dataDirectory, name), join(dataDirectory, renamed))
  return renamed
}
