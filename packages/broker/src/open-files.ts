import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

/** Descriptors that no connection gets, so that logs and metadata can still be opened. */
const keptFree = 4

/**
 * How many files this process may have open, as far as the system tells; Infinity where it does not. Half of it is what a broker
 * takes for `maxConnections` where nobody says; several of one process had better share that half.
 */
export function openFilesLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}

/**
 * Whether an accepted socket has one of the last descriptors: the system gives out the lowest that is free. At the limit
 * itself it is too late, since libuv then closes new connections without a word to anybody.
 */
export function isAmongLastDescriptors(socket: Socket, limit: number): boolean {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null }
  return (handle?.fd ?? -1) >= limit - keptFree
}
