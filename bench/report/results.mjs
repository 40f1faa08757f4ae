/** The raw results: one JSON file for each section, replaced when it is measured again. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const resultsFolder = join(import.meta.dirname, '..', 'results')

const pathOf = (name) => join(resultsFolder, `${name}.json`)

export function writeResults(name, results) {
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(pathOf(name), `${JSON.stringify(results, (_, value) => shortened(value), 1)}\n`)
}

/** What was measured, now or earlier, of each of these sections that was. */
export function readResults(sections) {
  return sections
    .filter(({ name }) => existsSync(pathOf(name)))
    .map((section) => ({ section, ...JSON.parse(readFileSync(pathOf(section.name), 'utf8')) }))
}

/** Five digits are more than any measurement here has. */
function shortened(value) {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}
