/**
 * Decides whether something built is still what its inputs would build. Inputs are compared by size and modification time
 * first (a few milliseconds for the whole tree) and by content only when those differ, so that a checkout which merely
 * touched files costs no build.
 */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { cache, root } from './paths.mjs'

const SKIPPED = new Set(['node_modules', 'dist', 'target', '.git'])

/** All files at or below the given paths of the tree, sorted; a path that does not exist counts for nothing. */
export function filesIn(paths, accept = () => true) {
  const found = []
  const visit = (path) => {
    const stat = statSync(join(root, path), { throwIfNoEntry: false })
    if (stat === undefined) return
    if (!stat.isDirectory()) {
      if (accept(path)) found.push({ path, stat })
      return
    }
    for (const name of readdirSync(join(root, path))) if (!SKIPPED.has(name)) visit(join(path, name))
  }
  for (const path of paths) visit(path)
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}

function glance(files) {
  const hash = createHash('sha256')
  for (const { path, stat } of files) hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\n`)
  return hash.digest('base64url')
}

function digest(files, salt) {
  const hash = createHash('sha256').update(salt)
  for (const { path } of files)
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0')
  return hash.digest('base64url')
}

export class Freshness {
  #record
  #files
  #salt
  #outputs
  #seen

  /**
   * @param {string} name names the record of the last build
   * @param {object} what
   * @param {ReturnType<typeof filesIn>} what.files the inputs
   * @param {readonly string[]} what.outputs paths that must exist
   * @param {string} [what.salt] anything else the result depends on (versions, platform)
   */
  constructor(name, { files, outputs, salt = '' }) {
    this.#record = join(cache, `${name}.json`)
    this.#files = files
    this.#outputs = outputs
    this.#salt = salt
  }

  isFresh() {
    if (!this.#outputs.every((output) => existsSync(join(root, output)))) return false
    let last
    try {
      last = JSON.parse(readFileSync(this.#record, 'utf8'))
    } catch {
      return false
    }
    if (last.salt === this.#salt && last.glance === glance(this.#files)) return true
    if (last.digest !== digest(this.#files, this.#salt)) return false
    this.#write({ salt: this.#salt, glance: glance(this.#files), digest: last.digest })
    return true
  }

  /** Call before building: what is edited during the build belongs to the next one. */
  begin() {
    this.#seen = { salt: this.#salt, glance: glance(this.#files), digest: digest(this.#files, this.#salt) }
  }

  /** Call when the build has succeeded. */
  commit() {
    this.#write(this.#seen)
  }

  #write(record) {
    mkdirSync(cache, { recursive: true })
    const temporary = `${this.#record}.${process.pid}`
    writeFileSync(temporary, JSON.stringify(record))
    renameSync(temporary, this.#record)
  }
}
