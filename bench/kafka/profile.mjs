/** Where varve's event loop spent its time, as V8's profiler saw it. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { markdown } from '../report/table.mjs'

const ROWS = 30

/** What Node is told so that it leaves a profile in a folder when it ends. */
export const profiling = (dir) => ['--cpu-prof', '--cpu-prof-interval', '200', '--cpu-prof-dir', dir]

/** A table of the functions in which most of the busy time went, over all profiles in a folder. */
export function profileText(dir) {
  const microseconds = new Map()
  for (const file of readdirSync(dir).filter((name) => name.endsWith('.cpuprofile'))) {
    const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(dir, file), 'utf8'))
    const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
    samples.forEach((id, index) => {
      const name = names.get(id)
      microseconds.set(name, (microseconds.get(name) ?? 0) + timeDeltas[index])
    })
  }
  microseconds.delete('(idle)')
  const busy = [...microseconds.values()].reduce((sum, time) => sum + time, 0)
  const rows = [...microseconds]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, ROWS)
    .map(([name, time]) => [`${((time / busy) * 100).toFixed(1)} %`, name])
  return `${(busy / 1e6).toFixed(2)} s busy, of which in\n\n${markdown({ header: ['share', 'function itself'], rows })}`
}

/** With file and line; functions of Node's own C++ and of the addon have none. */
function nameOf({ functionName, url, lineNumber }) {
  const name = functionName || 'anonymous function'
  if (url === '') return name
  const file = url.replace(/^.*\/packages\//, '').replace(/^.*\/node_modules\//, '')
  return `${name} (${file}:${lineNumber + 1})`
}
