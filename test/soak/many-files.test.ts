/**
 * A log keeps its segments for years and a broker has thousands of partitions, but a process may open only so many files. Who
 * opens one for each segment reads a long log up to a point and then fails with EMFILE, or can take no more connections.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runChild } from '../support/children.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { root, temporaryDirectory } from '../support/tree.js'

const onLinux = process.platform === 'linux'

type Workload =
  | { kind: 'segments'; count: number }
  | { kind: 'partitions'; count: number; durability: 'os' | 'fsync' }

async function under(limit: number, workload: Workload): Promise<unknown[]> {
  const dir = join(temporaryDirectory(), 'data')
  const script = join(root, 'test', 'soak', 'many-files.mjs')
  const told = JSON.stringify({ dir, ...workload })
  const limited = `ulimit -n ${limit}; exec "$0" "$@"`
  const { code, stdout, stderr } = await runChild('sh', ['-c', limited, process.execPath, script, told])
  expect([code, stderr]).toEqual([0, ''])
  const lines = stdout.toString().trim().split('\n')
  return lines.map((line) => JSON.parse(line) as unknown)
}

test.runIf(onLinux).each(['os', 'fsync'] as const)(
  'many partitions need few descriptors, and none when they are closed (%s)',
  { timeout },
  async (durability) => {
    const [count, limit] = isLongRun ? [2000, 500] : [300, 130]
    const [open, closed] = (await under(limit, { kind: 'partitions', count, durability })) as [
      { read: number; descriptors: number },
      { closed: number },
    ]
    expect(open.read).toBe(3 * count)
    expect(open.descriptors).toBeLessThan(limit)
    expect(closed.closed).toBeLessThan(60)
  },
)

test.runIf(onLinux)('a log of many segments needs few descriptors', { timeout }, async () => {
  const count = isLongRun ? 10_000 : 600
  const [found] = (await under(300, { kind: 'segments', count })) as [
    { read: number; end: number; descriptors: number },
  ]
  expect(found).toMatchObject({ read: count, end: count })
  expect(found!.descriptors).toBeLessThan(300)
})
