/**
 * Gives a run of the tests a temporary folder of its own, and fails the run if anything is left in there at its end. A
 * file that every run leaves behind is noticed by nobody until a disk is full.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const PREFIX = 'varve-run-'

export default function ownTemporaryFolder(): void | (() => void) {
  // Another project of this run has one already.
  if (basename(tmpdir()).startsWith(PREFIX)) return
  const before = process.env['TMPDIR']
  const folder = mkdtempSync(join(tmpdir(), PREFIX))
  process.env['TMPDIR'] = folder
  return () => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
    const left = readdirSync(folder)
    rmSync(folder, { recursive: true, force: true })
    if (left.length === 0) return
    // An error thrown here would be printed and forgotten.
    process.stderr.write(`The tests left in their temporary folder: ${left.join(', ')}\n`)
    process.exitCode = 1
  }
}
