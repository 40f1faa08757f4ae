import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDump, type DumpedBatch } from './kafka-dump.js'

const root = fileURLToPath(new URL('./fixtures/', import.meta.url))

export function segmentsOf(name: string): Buffer[] {
  return readdirSync(join(root, name))
    .filter((file) => file.endsWith('.log'))
    .sort()
    .map((file) => readFileSync(join(root, name, file)))
}

/** What Kafka's DumpLogSegments printed, batch by batch. */
export function dumpOf(name: string): DumpedBatch[] {
  return parseDump(readFileSync(join(root, name, 'dump.txt'), 'utf8'))
}
