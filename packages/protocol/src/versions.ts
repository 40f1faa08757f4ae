/** Versions as Kafka's schema files write them: `'3'`, `'0-12'`, `'9+'`. */
export type VersionSpec = `${number}` | `${number}+` | `${number}-${number}`

/** An inclusive range of versions; `max` is Infinity where the range is open. */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

export const noVersions: VersionRange = { min: Infinity, max: -Infinity }

export function versionRange(spec: VersionSpec | 'none'): VersionRange {
  if (spec === 'none') return noVersions
  const match = /^(\d+)(\+|-(\d+))?$/.exec(spec)
  if (!match) throw new TypeError(`'${spec}' is not a version range; write '3', '0-12', '9+' or 'none'`)
  const min = Number(match[1])
  const max = match[2] === undefined ? min : match[2] === '+' ? Infinity : Number(match[3])
  if (max < min) throw new TypeError(`the version range '${spec}' ends before it begins`)
  return { min, max }
}

export const includes = (range: VersionRange, version: number): boolean =>
  version >= range.min && version <= range.max
