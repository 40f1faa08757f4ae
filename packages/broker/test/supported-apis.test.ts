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

test('what clients look for groups by is there from its oldest version on', () => {
  // librdkafka before 2.1 asks for exactly these versions before it joins a group, and kafka-go sends nothing else.
  for (const key of [10, 11, 12, 13, 14]) expect(supportedApis.get(key)!.advertised[0]).toBe(0)
  expect(supportedApis.get(8)!.advertised[0]).toBeLessThanOrEqual(2)
  expect(supportedApis.get(9)!.advertised[0]).toBeLessThanOrEqual(1)
  // Whoever sees these would speak the protocol of KIP-848, which is not served.
  for (const key of [68, 69]) expect(supportedApis.has(key)).toBe(false)
})

test.each(['../README.md', '../../../docs/protocol-support.md'])('%s prints the table', (file) => {
  expect(readFileSync(new URL(file, import.meta.url), 'utf8')).toContain(renderSupportTable())
})
