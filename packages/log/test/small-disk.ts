import { execFileSync } from 'node:child_process'
import { afterAll } from 'vitest'
import { temporaryDirectory } from './temporary-directory.js'

const mounted: string[] = []
afterAll(() => {
  for (const dir of mounted) execFileSync('umount', [dir])
})

/** A file system of so many KiB that is gone with the test file, or null where this process may not mount one. */
export function smallDisk(kib: number): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  const dir = temporaryDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kib}k`, 'tmpfs', dir], { stdio: 'ignore' })
  } catch {
    return null
  }
  mounted.push(dir)
  return dir
}

/** What to add to the name of a test that needs one. */
export const howToGetOne = (disk: string | null): string =>
  disk === null ? ' (skipped: run as root, who may mount a tmpfs)' : ''
