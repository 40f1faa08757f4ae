import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('./fixtures/', import.meta.url))

export interface DumpedRecord {
  offset: number
  timestamp: number
  keySize: number
  valueSize: number
  headerKeys: string[]
  /** The rest of the line: key, payload or control record, as the tool prints them. */
  text: string
}

export interface DumpedBatch {
  fields: Record<string, string>
  records: DumpedRecord[]
}

export function segmentsOf(name: string): Buffer[] {
  return readdirSync(join(root, name))
    .filter((file) => file.endsWith('.log'))
    .sort()
    .map((file) => readFileSync(join(root, name, file)))
}

/** What Kafka's DumpLogSegments printed, batch by batch. */
export function dumpOf(name: string): DumpedBatch[] {
  const batches: DumpedBatch[] = []
  for (const line of readFileSync(join(root, name, 'dump.txt'), 'utf8').split('\n')) {
    if (line.startsWith('baseOffset:')) {
      const pairs = line.split(/ (?=[A-Za-z]+: )/).map((field) => field.split(': ') as [string, string])
      batches.push({ fields: Object.fromEntries(pairs), records: [] })
    } else if (line.startsWith('| offset:')) {
      const [, offset, time, key, value, names, text] =
        /^\| offset: (\d+) \w+: (-?\d+) keySize: (-?\d+) valueSize: (-?\d+) sequence: -?\d+ headerKeys: \[(.*?)\](.*)$/.exec(
          line,
        )!
      batches.at(-1)!.records.push({
        offset: Number(offset),
        timestamp: Number(time),
        keySize: Number(key),
        valueSize: Number(value),
        headerKeys: names === '' ? [] : names!.split(','),
        text: text!,
      })
    }
  }
  return batches
}
