import { readFileSync } from 'node:fs'
import Module from 'node:module'

const fixture = '../../records/test/fixtures/rdk-snappy/00000000000000000000.log'

/** 12 records with the times from 1700000000000 to …011, compressed with snappy by librdkafka. */
export const UNREADABLE_RECORDS = 12

type Load = (request: string, ...rest: unknown[]) => unknown

/** A batch that cannot be decoded from here on: the library of its codec is not to be found. */
export function unreadableBatch(): Buffer {
  const modules = Module as unknown as { _load: Load }
  const load = modules._load
  modules._load = (request, ...rest) => {
    if (request === 'snappy') throw new Error('Cannot find module')
    return load(request, ...rest)
  }
  return readFileSync(new URL(fixture, import.meta.url))
}
