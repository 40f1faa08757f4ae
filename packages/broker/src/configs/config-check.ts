import { parseOverrides } from '../connection-limits.js'

/** What is wrong with a value, or null. It is given the elements of a list, and the text of everything else. */
export type ConfigCheck = (value: string | readonly string[], name: string) => string | null

/** Everything that the type allows. */
export const anything: ConfigCheck = () => null

export function atLeast(least: number): ConfigCheck {
  return (value) => (Number(value) < least ? `Value must be at least ${least}` : null)
}

export function between(least: number, most: number): ConfigCheck {
  return (value) => {
    if (Number(value) < least) return `Value must be at least ${least}`
    return Number(value) > most ? `Value must be no more than ${most}` : null
  }
}

/** Between two numbers, or one beside them that stands for the codec's own choice. */
export function betweenOr(least: number, most: number, other: number): ConfigCheck {
  return (value) => {
    const number = Number(value)
    if (number === other || (number >= least && number <= most)) return null
    return `Value must be between ${least} and ${most} or equal to ${other}`
  }
}

export function oneOf(...allowed: readonly string[]): ConfigCheck {
  return (value) => {
    const values = typeof value === 'string' ? [value] : value
    return values.every((one) => allowed.includes(one))
      ? null
      : `String must be one of: ${allowed.join(', ')}`
  }
}

/** As `max.connections.per.ip.overrides` is written. */
export const connectionsByAddress: ConfigCheck = (value) => {
  try {
    parseOverrides(value as string)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** `*`, or partitions each with a broker. */
export const throttledReplicas: ConfigCheck = (value, name) => {
  const replicas = typeof value === 'string' ? [value] : value
  const isAll = replicas.length === 1 && replicas[0]!.trim() === '*'
  if (isAll || replicas.every((replica) => /^\d+:\d+$/.test(replica.trim()))) return null
  return (
    `${name} must be the literal '*' or a list of replicas in the following format: ` +
    '[partitionId]:[brokerId],[partitionId]:[brokerId],...'
  )
}
