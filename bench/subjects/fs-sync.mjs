import { closeSync, fdatasyncSync, openSync, writeSync, writevSync } from 'node:fs'
import { countValues, fileIn, readValue, replayFile, writesOf } from './framing.mjs'

export async function open(dir, { durable, valueBytes }) {
  const path = fileIn(dir)
  const file = openSync(path, 'a+')
  return {
    appendGroup(values) {
      for (const vectors of writesOf(values)) {
        if (vectors.length === 1) writeSync(file, vectors[0])
        else writevSync(file, vectors)
      }
      if (durable) fdatasyncSync(file)
    },
    get: (index) => readValue(file, index, valueBytes),
    replay: (visit) => replayFile(path, visit),
    count: () => countValues(file, valueBytes),
    close: () => closeSync(file),
  }
}
