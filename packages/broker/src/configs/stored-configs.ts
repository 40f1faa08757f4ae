import { VarveError } from '@varve/records'
import type { MetadataEntry } from '@varve/replication'

/** Values by the name of their configuration, as they were set: one level of those that Kafka stacks. */
export type ConfigValues = ReadonlyMap<string, string>

export const noValues: ConfigValues = new Map()

/** The version of the value's form. A broker that finds a higher one must not guess. */
const formVersion = 1

/** A map of configurations as the metadata store holds it. */
export function encodeConfigs(values: ConfigValues): string {
  return JSON.stringify({ version: formVersion, configs: Object.fromEntries(values) })
}

/** @throws VarveError `VARVE_METADATA_CORRUPT` when the value is not one that {@link encodeConfigs} wrote */
export function decodeConfigs({ key, value }: MetadataEntry): ConfigValues {
  let fields = null as { version?: unknown; configs?: unknown } | null
  try {
    fields = JSON.parse(value) as typeof fields
  } catch {
    // What is not JSON is no more ours than what is another form of it.
  }
  if (fields?.version === formVersion && isConfigs(fields.configs))
    return new Map(Object.entries(fields.configs))
  throw new VarveError(
    'VARVE_METADATA_CORRUPT',
    `the metadata entry ${key} is not one that this version wrote: ${value.slice(0, 120)}`,
  )
}

/** Whether this is an object of texts, as the metadata store holds configurations. */
export function isConfigs(value: unknown): value is Record<string, string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string')
  )
}
