/** What a run of hours has measured, kept cell by cell, so that the next one goes on where it ended. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { cache } from '../../scripts/paths.mjs'

export class FinishedCells {
  #path
  /** By section, in the order in which they were measured. */
  #cells

  constructor(path, cells) {
    this.#path = path
    this.#cells = cells
  }

  /** @param {string} file an absolute path, or a name in the cache */
  static open(file) {
    const path = resolve(cache, file)
    const cells = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
    const count = Object.values(cells).flat().length
    if (count > 0) {
      process.stderr.write(
        `Going on after ${count} cells that were measured before; without ${path} it begins anew\n`,
      )
    }
    return new FinishedCells(path, cells)
  }

  has(section, id) {
    return this.of(section).some((cell) => cell.id === id)
  }

  of(section) {
    return this.#cells[section] ?? []
  }

  add(section, cell) {
    this.#cells[section] = [...this.of(section), cell]
    mkdirSync(dirname(this.#path), { recursive: true })
    const temporary = `${this.#path}.${process.pid}`
    writeFileSync(temporary, JSON.stringify(this.#cells))
    renameSync(temporary, this.#path)
  }

  /** Everything is measured: the next run begins anew. */
  end() {
    rmSync(this.#path, { force: true })
  }
}
