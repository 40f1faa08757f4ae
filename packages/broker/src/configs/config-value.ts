import type { ConfigDefinition, ConfigType } from './config-definition.js'

/** A value that a configuration cannot have, in the words in which Kafka refuses it. */
export class InvalidConfig extends Error {}

/** The largest and smallest value of each whole type. */
const ranges: Partial<Record<ConfigType, readonly [bigint, bigint]>> = {
  SHORT: [-(2n ** 15n), 2n ** 15n - 1n],
  INT: [-(2n ** 31n), 2n ** 31n - 1n],
  LONG: [-(2n ** 63n), 2n ** 63n - 1n],
}

/**
 * A value as it is kept and shown: without blanks around it, numbers and booleans in their usual form, each element of a
 * list once.
 *
 * @throws InvalidConfig
 */
export function normalizeValue(definition: ConfigDefinition, raw: string): string {
  const { name, type, check } = definition
  const text = raw.trim()
  const value = typedText(definition, text)
  const wrong = check(type === 'LIST' ? listOf(value) : value, name)
  if (wrong !== null) {
    const shown = type === 'LIST' && wrong.startsWith(name) ? `[${listOf(value).join(', ')}]` : value
    throw invalid(definition, shown, wrong)
  }
  return value
}

function typedText(definition: ConfigDefinition, text: string): string {
  const { type } = definition
  const range = ranges[type]
  if (range !== undefined) {
    if (!/^[+-]?\d+$/.test(text)) throw invalid(definition, text, `Not a number of type ${type}`)
    const number = BigInt(text.replace(/^\+/, ''))
    if (number < range[0] || number > range[1])
      throw invalid(definition, text, `Not a number of type ${type}`)
    return String(number)
  }
  if (type === 'DOUBLE') {
    const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text))
    if (!isNumber) {
      throw invalid(definition, text, 'Not a number of type DOUBLE')
    }
    return Number.isInteger(Number(text)) ? Number(text).toFixed(1) : String(Number(text))
  }
  if (type === 'BOOLEAN') {
    const lower = text.toLowerCase()
    if (lower !== 'true' && lower !== 'false') {
      throw invalid(definition, text, 'Expected value to be either true or false')
    }
    return lower
  }
  return type === 'LIST' ? [...new Set(listOf(text))].join(',') : text
}

function invalid({ name }: ConfigDefinition, value: string, why: string): InvalidConfig {
  return new InvalidConfig(`Invalid value ${value} for configuration ${name}: ${why}`)
}

/** The elements of a list's text. */
export function listOf(text: string): string[] {
  return text === '' ? [] : text.split(',').map((element) => element.trim())
}

/** A whole number's value. What JavaScript cannot count to is more than anybody waits or stores: `Infinity`. */
export function numberOf(text: string): number {
  const number = Number(text)
  return number > Number.MAX_SAFE_INTEGER ? Infinity : number
}
