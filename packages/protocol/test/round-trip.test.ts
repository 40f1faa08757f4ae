// A field that is written in one version's place and read in another's shifts everything behind it, and for most values
// the result still decodes. Random values of every message at every version do not forgive that.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodedForm, structArbitrary } from './arbitrary.js'
import { everyVersion } from './every-message.js'

test.each(everyVersion)('$name v$version', ({ declared, version }) => {
  const { fields } = declared.message
  fc.assert(
    fc.property(structArbitrary(fields, version), (value) => {
      const bytes = declared.encode(value, version)
      const decoded = declared.decode(bytes, version)
      expect(decoded).toEqual(decodedForm(fields, value))
      expect(declared.encode(decoded, version).equals(bytes)).toBe(true)
    }),
    { numRuns: 40 },
  )
})
