import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/**
 * The codecs of the batches in the segment files of a partition's directory, read by the layout of Kafka's batch header alone.
 * Batches of up to `fewRecords` do not count: clients send those uncompressed which compression would not make smaller.
 */
export function storedCodecs(directory: string, fewRecords: number): Set<(typeof CODECS)[number]> {
  const codecs = new Set<(typeof CODECS)[number]>()
  for (const name of readdirSync(directory).filter((each) => each.endsWith('.log'))) {
    const bytes = readFileSync(join(directory, name))
    for (let at = 0; at + 61 <= bytes.length; at += 12 + bytes.readInt32BE(at + 8)) {
      if (bytes.readInt32BE(at + 57) > fewRecords) codecs.add(CODECS[bytes.readInt16BE(at + 21) & 7]!)
    }
  }
  return codecs
}
