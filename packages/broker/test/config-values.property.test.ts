// Values come from anybody, and what is kept must be readable by every later release: whatever passes is within its type and
// its limits, is kept in one form, and passes again in that form.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { brokerConfigs, topicConfigs } from '../src/configs/config-tables.js'
import type { ConfigDefinition } from '../src/configs/config-definition.js'
import { InvalidConfig, listOf, normalizeValue, numberOf } from '../src/configs/config-value.js'

const all: readonly ConfigDefinition[] = [...topicConfigs.values(), ...brokerConfigs.values()]
const ofType = (...types: string[]) => fc.constantFrom(...all.filter(({ type }) => types.includes(type)))
const anyText = fc.oneof(
  fc.string(),
  fc.constantFrom(
    '',
    ' ',
    '-1',
    '0',
    '1e400',
    'NaN',
    'Infinity',
    '0x10',
    '１',
    'TRUE',
    'delete,compact',
    ',,',
    '--1',
  ),
  fc.bigInt().map(String),
  fc.double().map(String),
)

/** The kept form, or null where the value is refused. */
function kept(definition: ConfigDefinition, text: string): string | null {
  try {
    return normalizeValue(definition, text)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidConfig)
    expect((error as Error).message).toContain(` for configuration ${definition.name}: `)
    return null
  }
}

test('what is kept is kept in the same form when it is set again', () => {
  fc.assert(
    fc.property(fc.constantFrom(...all), anyText, (definition, text) => {
      const value = kept(definition, text)
      if (value !== null) expect(kept(definition, value)).toBe(value)
    }),
    { numRuns: 3000 },
  )
})

const range = { SHORT: 15n, INT: 31n, LONG: 63n } as const

test('a whole number passes exactly when it is within its type and its limits, with blanks or a sign or not', () => {
  const numbers = fc.oneof(
    fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
    fc.bigInt({ min: -10n, max: 20n }),
  )
  fc.assert(
    fc.property(
      ofType('SHORT', 'INT', 'LONG'),
      numbers,
      fc.constantFrom('', ' ', '+', '0'),
      (definition, number, before) => {
        const bits = range[definition.type as keyof typeof range]
        const fits = number >= -(2n ** bits) && number < 2n ** bits
        const allowed = fits && definition.check(String(number), definition.name) === null
        const text = number < 0n ? `${number}` : `${before}${number}`
        expect(kept(definition, text)).toBe(allowed ? String(number) : null)
      },
    ),
    { numRuns: 3000 },
  )
})

test('what is no whole number never passes for one', () => {
  const wrong = fc.oneof(
    fc.double({ noInteger: true, noNaN: true, noDefaultInfinity: true }).map(String),
    fc.string().filter((text) => !/^\s*[+-]?\d+\s*$/.test(text)),
  )
  fc.assert(
    fc.property(ofType('SHORT', 'INT', 'LONG'), wrong, (definition, text) => {
      expect(kept(definition, text)).toBeNull()
    }),
  )
})

test('a list keeps each element once, in the order of their first places', () => {
  const policy = topicConfigs.get('cleanup.policy')!
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('compact', 'delete')),
      fc.constantFrom(',', ' , '),
      (elements, comma) => {
        expect(listOf(kept(policy, elements.join(comma))!)).toEqual([...new Set(elements)])
      },
    ),
  )
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), (elements) => {
      const names = listOf(elements.join(',').trim())
      const allowed = names.every((name) => name === 'compact' || name === 'delete')
      expect(kept(policy, elements.join(',')) !== null).toBe(allowed)
    }),
  )
})

test('numbers come out as they are, or as Infinity where JavaScript cannot count to them', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 53n - 1n), max: 2n ** 63n - 1n }), (number) => {
      const expected = number > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(number)
      expect(numberOf(String(number))).toBe(expected)
    }),
  )
})
