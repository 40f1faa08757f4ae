import { spawnSync } from 'node:child_process'

const HOW = 'install it with: npm run setup:conformance'

/** Why system calls cannot be made to fail here, or null. */
export const straceMissing = ((): string | null => {
  if (process.platform !== 'linux') return 'strace exists on Linux only'
  const { status, error, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  })
  if (error !== undefined) return `strace is not installed; ${HOW}`
  return status === 0 ? null : `strace may not trace here: ${stderr.trim()}`
})()
