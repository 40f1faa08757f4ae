import type { Json } from './normal-form.js'
import type { Answer } from './play.js'

/** One field that two brokers answered differently. */
export interface Found {
  /** `subject/sequence#step path.of[0].the.field` */
  readonly where: string
  readonly kafka: Json
  readonly varve: Json
}

/** What stands where one of the two answers has nothing. */
export const ABSENT = '<absent>'

export function compare(where: string, kafka: readonly Answer[], varve: readonly Answer[]): Found[] {
  const found: Found[] = []
  for (let index = 0; index < Math.max(kafka.length, varve.length); index++) {
    const step = (kafka[index] ?? varve[index])!.step
    differ(`${where}#${step}:`, kafka[index]?.answer ?? ABSENT, varve[index]?.answer ?? ABSENT, found)
  }
  return found
}

function differ(path: string, kafka: Json, varve: Json, found: Found[]): void {
  if (Array.isArray(kafka) && Array.isArray(varve)) {
    for (let index = 0; index < Math.max(kafka.length, varve.length); index++)
      differ(`${path}[${index}]`, kafka[index] ?? ABSENT, varve[index] ?? ABSENT, found)
  } else if (isStruct(kafka) && isStruct(varve)) {
    for (const key of new Set([...Object.keys(kafka), ...Object.keys(varve)]))
      differ(
        path.endsWith(':') ? `${path} ${key}` : `${path}.${key}`,
        kafka[key] ?? null,
        varve[key] ?? null,
        found,
      )
  } else if (JSON.stringify(kafka) !== JSON.stringify(varve)) {
    found.push({ where: path, kafka, varve })
  }
}

const isStruct = (value: Json): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
