import { rmSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { command } from './command.js'
import { isOrphan } from './owner.js'

/** All named namespaces. */
const namespaces = (): string[] =>
  command('ip', ['netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => name !== '')

/** Where file systems are mounted: a space is `\040` there. */
const mountPoints = (): string[] =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .map((path) =>
      path.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )

/** Two processes may sweep at once: what fails is wrong only if what was to go is still there. */
function unlessGone(remove: () => void, isThere: () => boolean): void {
  try {
    remove()
  } catch (error) {
    if (isThere()) throw error
  }
}

/** Ends a namespace and whatever runs in it; its links, and their other ends, go with it. */
export function removeNamespace(name: string): void {
  const isThere = (): boolean => namespaces().includes(name)
  unlessGone(() => {
    for (const pid of command('ip', ['netns', 'pids', name]).split('\n').filter(Boolean)) {
      unlessGone(
        () => process.kill(Number(pid), 'SIGKILL'),
        () => command('ip', ['netns', 'pids', name]).split('\n').includes(pid),
      )
    }
    command('ip', ['netns', 'del', name])
  }, isThere)
}

/** Takes away what processes that were killed have left: their namespaces with all that runs in them, and their disks. */
export function sweep(): void {
  for (const name of namespaces().filter(isOrphan)) removeNamespace(name)
  for (const path of mountPoints()) {
    const folder = dirname(path)
    if (!isOrphan(basename(folder))) continue
    unlessGone(
      // What still runs on it ends when it ends.
      () => command('umount', ['--lazy', path]),
      () => mountPoints().includes(path),
    )
    if (!mountPoints().some((other) => other.startsWith(`${folder}/`)))
      rmSync(folder, { recursive: true, force: true })
  }
}
