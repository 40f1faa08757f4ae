// Somebody who wants to know whether an API is there reads the README.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { apis } from '../src/index.js'

test('the README names every API with its versions', () => {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const rows = text.split('\n').filter((line) => line.startsWith('| '))
  const named = rows.flatMap((row) =>
    [...row.matchAll(/(\d+) ([A-Z]\w+) ([\d–]+)/g)].map(
      ([, key, name, versions]) => `${key} ${name} ${versions}`,
    ),
  )
  const declared = [...apis.values()].map(({ key, name, minVersion, maxVersion }) => {
    const versions = minVersion === maxVersion ? `${minVersion}` : `${minVersion}–${maxVersion}`
    return `${key} ${name} ${versions}`
  })
  expect(named.sort()).toEqual(declared.sort())
})
