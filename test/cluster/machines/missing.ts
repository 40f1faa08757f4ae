/** What cannot be done here, and why. Each is a sentence for the reason of a skipped test, or null. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from './command.js'
import { type DiskKind, MountedDisk } from './mounted-disk.js'
import { nameOf } from './owner.js'

const HOW = 'install it with: npm run setup:conformance'

const firstLine = (error: unknown): string => (error as Error).message.split('\n')[0]!

/** Asks once. */
function once<Value>(ask: () => Value): () => Value {
  let answer: { value: Value } | null = null
  return () => (answer ??= { value: ask() }).value
}

/** Why there can be no machines here, or null. */
export const machinesMissing = once((): string | null => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'run as root on Linux, who may make network namespaces'
  for (const [name, flag] of [
    ['ip', '-V'],
    ['nft', '--version'],
    ['nsenter', '--version'],
    ['setpriv', '--version'],
  ] as const) {
    if (spawnSync(name, [flag]).error !== undefined) return `${name} is not installed; ${HOW}`
  }
  const namespace = nameOf('probe')
  try {
    command('ip', ['netns', 'add', namespace])
    try {
      command('ip', ['-n', namespace, 'link', 'add', 'bridge', 'type', 'bridge'])
      command('ip', ['-n', namespace, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'other'])
      const rules = 'table bridge cuts { chain forward { type filter hook forward priority 0; drop; }; }'
      command('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], rules)
    } finally {
      command('ip', ['netns', 'del', namespace])
    }
  } catch (error) {
    return `no network namespaces with a bridge and rules of nftables can be made here: ${firstLine(error)}`
  }
  return null
})

/** Why packets cannot be made late, or null: many small kernels have no netem. */
export const delayMissing = once((): string | null => disciplineMissing('netem', ['delay', '1ms']))

/** Why a link cannot be made narrow, or null. */
export const throttleMissing = once((): string | null =>
  disciplineMissing('tbf', ['rate', '1mbit', 'burst', '16kb', 'latency', '400ms']),
)

function disciplineMissing(kind: string, args: readonly string[]): string | null {
  const missing = machinesMissing()
  if (missing !== null) return missing
  try {
    command('unshare', ['--net', 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', kind, ...args])
  } catch (error) {
    return `tc has no ${kind} here: ${firstLine(error)}`
  }
  return null
}

/** Why no disk of a kind can be mounted here, or null. */
export function diskMissing(kind: DiskKind): string | null {
  const missing = machinesMissing()
  if (missing !== null) return missing
  const where = mkdtempSync(join(tmpdir(), nameOf('')))
  try {
    new MountedDisk(where, 'probe', 8, kind).unmount()
  } catch (error) {
    return `no ${kind} can be mounted here: ${firstLine(error)}`
  } finally {
    rmSync(where, { recursive: true, force: true })
  }
  return null
}
