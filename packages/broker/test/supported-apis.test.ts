// What ApiVersions says, what the handlers do and what the documentation prints come from one table, and the table must
// stay within what the messages are declared for.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderSupportTable, supportedApis } from '../src/supported-apis.js'

test('every served version is declared, and every advertised one served but for Produce', () => {
  for (const { api, advertised, served } of supportedApis.values()) {
    expect(served[0]).toBeGreaterThanOrEqual(api.minVersion)
    // Kafka 4.4 keeps the last version of InitProducerId back as well: it is not stable.
    expect(served[1]).toBe(api.name === 'InitProducerId' ? 5 : api.maxVersion)
    expect(advertised[1]).toBe(served[1])
    expect(advertised[0]).toBe(api.name === 'Produce' ? 0 : served[0])
  }
})

test('there is no group API yet: a client that saw one would use it', () => {
  expect([...supportedApis.keys()]).toEqual([0, 1, 2, 3, 10, 18, 19, 22, 23, 61])
})

test('the README prints the table', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  expect(readme).toContain(renderSupportTable())
})
