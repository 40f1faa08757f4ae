// A field that is written in one version's place and read in another's shifts everything behind it, and for most values
// the result still decodes. Random values of every message at every version do not forgive that.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apis, type Message, requestHeader, responseHeader } from '../src/index.js'
import { decodedForm, structArbitrary } from './arbitrary.js'

const messages: Message<unknown>[] = [
  ...[...apis.values()].flatMap((api) => [api.request, api.response]),
  requestHeader,
  responseHeader,
]

describe.each(messages)('$name', (message) => {
  const { min, max } = message.versions
  test.each(Array.from({ length: max - min + 1 }, (_, i) => min + i))('v%i', (version) => {
    fc.assert(
      fc.property(structArbitrary(message.fields, version), (value) => {
        const bytes = Buffer.concat(message.encode(value, version) as Buffer[])
        const decoded = message.decode(bytes, 0, version)
        expect(decoded).toEqual(decodedForm(message.fields, value))
        expect(Buffer.concat(message.encode(decoded, version) as Buffer[])).toEqual(bytes)
      }),
      { numRuns: 40 },
    )
  })
})
