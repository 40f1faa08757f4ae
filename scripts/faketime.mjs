/** libfaketime, which turns the clock of a process that preloads it. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall } from './installing.mjs'

/** Debian keeps it in a folder of the architecture, others do not. */
const places = () => (process.platform === 'linux' ? ['/usr/lib', '/usr/lib64'].filter(existsSync) : [])

/** @returns {string | null} where the one for processes with several threads is, or null if it is not installed */
export function faketimeLibrary() {
  const folders = places().flatMap((place) => [
    place,
    ...readdirSync(place)
      .filter((name) => name.endsWith('-linux-gnu'))
      .map((name) => join(place, name)),
  ])
  const libraries = folders.map((folder) => join(folder, 'faketime', 'libfaketimeMT.so.1'))
  return libraries.find((library) => existsSync(library)) ?? null
}

/** @type {import('./installing.mjs').Installable} */
export const faketime = {
  name: 'libfaketime (turns the clock of a process)',
  present: async () => faketimeLibrary() !== null,
  install: () => aptInstall('libfaketime'),
}
