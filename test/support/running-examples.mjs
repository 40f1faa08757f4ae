/**
 * Runs scripts one behind the other, each in its folder, and writes down of each what it threw, or null. Like each of them by itself
 * it ends only when all that they opened is closed.
 */
import { appendFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

const [scripts, told] = process.argv.slice(2)
for (const { name, script, cwd } of JSON.parse(scripts)) {
  process.chdir(cwd)
  let failure = null
  try {
    await import(pathToFileURL(script).href)
  } catch (error) {
    failure = inspect(error)
  }
  appendFileSync(told, `${JSON.stringify([name, failure])}\n`)
}
