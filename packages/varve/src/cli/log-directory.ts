import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from './failure.js'

const SEGMENT = /^(\d{20})\.log$/

/** The base offsets of the segment files in a directory, in ascending order. */
export async function segmentsIn(dir: string): Promise<number[]> {
  const names = await readdir(dir)
  return names
    .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

export function segmentPath(dir: string, baseOffset: number): string {
  return join(dir, `${String(baseOffset).padStart(20, '0')}.log`)
}

/** Reading creates nothing: a directory without a log is a mistake. Returns the segments of one that has some. */
export async function existingLog(dir: string): Promise<number[]> {
  let segments: number[]
  try {
    segments = await segmentsIn(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new Failure(`there is no directory ${dir}`, { cause: error })
    if (code === 'ENOTDIR')
      throw new Failure(`${dir} is a file; name the directory of a log`, { cause: error })
    throw error
  }
  if (segments.length > 0) return segments
  const partitions = (await readdir(dir)).filter((name) => /-\d+$/.test(name)).sort()
  const remedy =
    partitions.length === 0
      ? 'it has no segment files, such as 00000000000000000000.log'
      : `it is a data directory; name a log in it, such as ${join(dir, partitions[0]!)}`
  throw new Failure(`the directory ${dir} is no log: ${remedy}`)
}
