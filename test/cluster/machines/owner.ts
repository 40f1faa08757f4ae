/** Whose namespaces, mounts and folders these are: the names say which process made them, so that others know when it is gone. */
import { processStat } from './process-stat.js'

/** A name of an interface has room for 15 letters: 9 for its owner. */
const [PID_LETTERS, BEGAN_LETTERS] = [5, 4]
const letters = (value: number, length: number): string =>
  (value % 36 ** length).toString(36).padStart(length, '0')

const idOf = (pid: number, began: number): string => letters(pid, PID_LETTERS) + letters(began, BEGAN_LETTERS)

/**
 * The name of this process as an owner: nine letters and digits, when it began among them, because a pid comes round again. Only Linux tells
 * what it needs.
 */
export const ownId = (): string => idOf(process.pid, processStat('self')!.began)

/** Matches what {@link nameOf} makes, the owner first. */
const NAME = /^varve-([0-9a-z]{9})-/

/** A name that says whose it is. */
export const nameOf = (what: string): string => `varve-${ownId()}-${what}`

/** Whether a name is one of ours whose owner has ended. */
export function isOrphan(name: string): boolean {
  const [, id] = NAME.exec(name) ?? []
  if (id === undefined) return false
  const pid = Number.parseInt(id.slice(0, PID_LETTERS), 36)
  const stat = processStat(pid)
  return stat === null || idOf(pid, stat.began) !== id
}
