import { readFileSync } from 'node:fs'
import { Failure } from './failure.js'
import type { Place } from './topic-places.js'

/**
 * Offsets in the form in which kafka-consumer-groups exports them: `topic,partition,offset` of one group,
 * `group,topic,partition,offset` of several.
 */
export interface OffsetRow extends Place {
  /** Null where the file is about one group. */
  readonly group: string | null
  readonly offset: number
}

const written = (field: string | number): string =>
  /[",\r\n]/.test(String(field)) ? `"${String(field).replaceAll('"', '""')}"` : String(field)

export function csvLine(fields: readonly (string | number)[]): string {
  return `${fields.map(written).join(',')}\n`
}

function fieldsOf(line: string): string[] {
  const fields = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)
  return [...fields].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!.trim())
}

/** @throws Failure that names the line */
export function readOffsetsCsv(path: string): OffsetRow[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}. Check --from-file`, { cause: error })
  }
  return text.split(/\r?\n/).flatMap((line, index): OffsetRow[] => {
    if (line.trim() === '') return []
    const fields = fieldsOf(line)
    const group = fields.length === 4 ? fields.shift()! : null
    const [topic, partition, offset] = fields
    const isWhole = (field: string | undefined): boolean =>
      /^\d+$/.test(field ?? '') && Number.isSafeInteger(Number(field))
    if (fields.length !== 3 || topic === '' || !isWhole(partition) || !isWhole(offset))
      throw new Failure(
        `${path}, line ${index + 1}: it must be topic,partition,offset, or group,topic,partition,offset`,
      )
    return [{ group, topic: topic!, partition: Number(partition), offset: Number(offset) }]
  })
}
