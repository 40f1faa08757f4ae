/**
 * Whoever breaks networks on a machine that others use as well must leave nothing behind: a process that holds a port, a mount
 * that keeps a folder, a namespace for each run until there is no memory. Also not if it is killed in the middle. And what is
 * another's, who still runs, is not ours to take away.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { rolldown } from 'rolldown'
import { beforeAll, describe, expect, test } from 'vitest'
import { startChild } from '../../support/children.js'
import { root, temporaryDirectory } from '../../support/tree.js'
import { command } from './command.js'
import { Machines } from './machines.js'
import { machinesMissing } from './missing.js'
import { isOrphan, nameOf } from './owner.js'
import { processStat } from './process-stat.js'

const missing = machinesMissing()

interface Owned {
  readonly id: string
  readonly pid: number
  readonly folder: string
}

describe.skipIf(missing !== null)(`machines${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let program: string

  beforeAll(async () => {
    const bundle = await rolldown({
      input: join(root, 'test', 'cluster', 'machines', 'programs', 'owner.ts'),
      platform: 'node',
      resolve: { extensionAlias: { '.js': ['.ts'] } },
      tsconfig: false,
    })
    const file = join(temporaryDirectory(), 'owner.mjs')
    await bundle.write({ file, format: 'esm' })
    await bundle.close()
    program = file
  })

  const start = async (): Promise<{ child: ChildProcess; owned: Owned }> => {
    const child = startChild(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
    return { child, owned: JSON.parse(line) as Owned }
  }

  /** What there is of it, of every kind. */
  const traces = ({ id, pid, folder }: Owned): string[] => [
    ...command('ip', ['netns', 'list'])
      // Behind the name stands a number, which the kernel may give it at any time.
      .split(/(?: .*)?\n/)
      .filter((line) => line.includes(id)),
    ...readdirSync('/sys/class/net').filter((link) => link.includes(id)),
    ...readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${folder}/`)),
    ...(existsSync(folder) ? [folder] : []),
    ...(processStat(pid) === null ? [] : [`process ${pid}`]),
  ]
  /** The kernel takes down in its own time what nobody has any more. */
  const untilGone = async (find: () => string[]): Promise<void> => {
    while (find().length > 0) await sleep(5)
  }

  test.for([
    ['ends without closing them', (child: ChildProcess) => child.stdin!.end(), [0, null]],
    ['is ended by a signal', (child: ChildProcess) => child.kill('SIGTERM'), [null, 'SIGTERM']],
  ] as const)('of a process that %s nothing is left', async ([, end, as]) => {
    const { child, owned } = await start()
    // Three namespaces, a link, a mount, a folder, a process.
    expect(traces(owned)).toHaveLength(7)
    end(child)
    expect(await once(child, 'exit')).toEqual(as)
    await untilGone(() => traces(owned))
  })

  test('of one that is killed no process is left, and the next one removes the rest and spares the living', async () => {
    const [killed, living] = await Promise.all([start(), start()])
    const before = traces(living.owned)
    expect(traces(killed.owned)).toHaveLength(7)
    killed.child.kill('SIGKILL')
    await once(killed.child, 'exit')
    await untilGone(() => traces(killed.owned).filter((trace) => trace.startsWith('process ')))

    // So does that of any test beside this one.
    const machines = Machines.create([])
    await untilGone(() => traces(killed.owned))
    expect(traces(living.owned)).toEqual(before)
    await machines.close()
    living.child.stdin!.end()
    await once(living.child, 'exit')
    await untilGone(() => traces(living.owned))
  })

  test('two networks of one process have subnets and names of their own', async () => {
    const [one, other] = [Machines.create(['one']), Machines.create(['one'])]
    expect(one.machine('one').address).not.toBe(other.machine('one').address)
    expect(one.machine('one').namespace).not.toBe(other.machine('one').namespace)
    await Promise.all([one.close(), other.close()])
  })
})

test.skipIf(process.platform !== 'linux')('only what names an owner that has ended is an orphan', () => {
  expect(isOrphan(nameOf('x'))).toBe(false)
  expect(isOrphan('varve-test-AbCdEf')).toBe(false)
  expect(isOrphan('another')).toBe(false)
  // The same pid, but begun at another time.
  const own = nameOf('x')
  const began = own.slice(11, 15)
  expect(isOrphan(own.replace(began, began === '0000' ? '0001' : '0000'))).toBe(true)
})
