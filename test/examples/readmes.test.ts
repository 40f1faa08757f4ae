/**
 * Examples are copied, folder and all: each must say what it prints when it runs as it stands, and depend on the version
 * of this tree.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { mustRun } from '../support/children.js'
import { root, temporaryDirectory } from '../support/tree.js'

const home = join(root, 'examples')
const names = readdirSync(home, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

describe.each(names)('%s', (name) => {
  const readme = readFileSync(join(home, name, 'README.md'), 'utf8')
  const printed = /```text\n([\s\S]*?)```/.exec(readme)?.[1]

  test('it depends on this version, and is listed', () => {
    const { dependencies } = JSON.parse(readFileSync(join(home, name, 'package.json'), 'utf8'))
    expect(dependencies).toEqual({ [name === 'fault-tolerance' ? 'varve' : '@varve/log']: `^${version}` })
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(`(examples/${name})`)
  })

  if (printed !== undefined) {
    test('it prints what its README says', async () => {
      const main = join(home, name, 'main.mjs')
      const { stdout } = await mustRun(process.execPath, [main], { cwd: temporaryDirectory() })
      expect(stdout.toString()).toBe(printed)
    })
  }
})
