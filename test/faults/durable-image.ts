import { cpSync, existsSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'

/** The system calls that decide what of a file survives a power loss, and those that give it another name. */
export const DURABILITY_CALLS = [
  'pwrite64',
  'pwritev',
  'fdatasync',
  'fsync',
  'ftruncate',
  // Not every processor has all of these.
  '?rename',
  '?renameat',
  '?renameat2',
  '?unlink',
  '?unlinkat',
]

interface Lengths {
  written: number
  durable: number
}

/**
 * How much of each segment was flushed, as the system calls say that really happened: an fsync that was made to fail made
 * nothing durable, though the page cache has the bytes and the next fsync would succeed.
 */
function durableLengths(before: ReadonlyMap<string, number>, trace: string): Map<string, Lengths> {
  const files = new Map([...before].map(([path, bytes]) => [path, { written: bytes, durable: bytes }]))
  const started = new Map<string, { call: string; flushed: number }>()
  for (const line of trace.split('\n')) {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (rest === undefined) continue
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1]
    const start = resumed === undefined ? undefined : started.get(thread!)
    const call = start === undefined ? rest : start.call + resumed
    const names = /^(rename|unlink)\w*\([^"]*"([^"]+)"(?:[^"]*"([^"]+)")?.*= 0$/.exec(call)
    if (names !== null) {
      const [, , from, to] = names
      const moved = files.get(from!)
      files.delete(from!)
      if (to !== undefined && moved !== undefined) files.set(to, moved)
      continue
    }
    const [, name, path] = /^(\w+)\(\d+<([^>]+\.log(?:\.\w+)*)>/.exec(call) ?? []
    if (path === undefined) continue
    const file = files.get(path) ?? { written: 0, durable: 0 }
    files.set(path, file)
    if (rest.endsWith('<unfinished ...>')) {
      started.set(thread!, { call: rest.replace(/<unfinished \.\.\.>$/, ''), flushed: file.written })
      continue
    }
    started.delete(thread!)
    const result = Number(/= (-?\d+)(?: |$)(?!.*= -?\d)/.exec(call)?.[1])
    if (!(result >= 0)) continue
    const lastNumber = Number(/, (\d+)\) +=/.exec(call)?.[1])
    if (name!.startsWith('pwrite')) file.written = Math.max(file.written, lastNumber + result)
    else if (name === 'ftruncate') file.written = lastNumber
    // What was written while the flush was under way may not be in it.
    else file.durable = Math.max(file.durable, start?.flushed ?? file.written)
    file.durable = Math.min(file.durable, file.written)
  }
  return files
}

/** The segments of a log and their lengths. */
export function segmentLengths(dir: string): Map<string, number> {
  const segments = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.log')) : []
  return new Map(segments.map((name) => [join(dir, name), statSync(join(dir, name)).size]))
}

/** Copies the directory as a power loss would leave it: every segment ends where the last flush of it reached. */
export function powerLoss(
  dir: string,
  copy: string,
  before: ReadonlyMap<string, number>,
  trace: string,
): void {
  rmSync(copy, { recursive: true, force: true })
  // It may not have come so far as to be there.
  if (!existsSync(dir)) return
  cpSync(dir, copy, { recursive: true })
  const lengths = durableLengths(before, trace)
  for (const [path, bytes] of segmentLengths(dir)) {
    const durable = lengths.get(path)?.durable ?? bytes
    if (durable < bytes) truncateSync(path.replace(dir, copy), durable)
  }
}
