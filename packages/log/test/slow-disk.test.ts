/**
 * A disk that takes its time, because the kernel throttles whoever dirties pages or because it is a network's, stops every
 * timer and every socket of a process that writes on its event loop.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runScript } from './child-script.js'
import { temporaryDirectory } from './temporary-directory.js'

for (const durability of ['os', 'fsync']) {
  test(`once a write was slow, the event loop goes on while others are under way ('${durability}')`, async () => {
    const gate = join(temporaryDirectory(), 'gate')
    writeFileSync(gate, '')
    const dir = temporaryDirectory()
    // The first write finds the disk slow, in 10 ms; the gate lets none pass after that until the script removes it, which
    // it could not do if it waited for one.
    const { stdout } = await runScript(
      `import { rmSync, writeFileSync } from 'node:fs'
       import { openLog } from '@varve/log'
       const log = await openLog(${JSON.stringify(dir)}, { durability: '${durability}' })
       rmSync(${JSON.stringify(gate)})
       await log.append([{ value: 'zero' }])
       writeFileSync(${JSON.stringify(gate)}, '')
       const settled = []
       const appends = [1, 2, 3].map((n) =>
         log.append([{ value: String(n) }]).then(({ baseOffset }) => settled.push(baseOffset)))
       for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
       const before = [...settled]
       rmSync(${JSON.stringify(gate)})
       await Promise.all(appends)
       const values = []
       for await (const record of log.read()) values.push(String(record.value))
       await log.close()
       console.log(JSON.stringify({ before, settled, values }))`,
      [],
      { env: { VARVE_TEST_FAULT: `write_at@.log:delay=10,write_at@.log:while=${gate}` } },
    )
    expect(JSON.parse(stdout)).toEqual({
      before: [],
      settled: expect.arrayContaining([1, 2, 3]),
      values: ['zero', '1', '2', '3'],
    })
    expect(existsSync(gate)).toBe(false)
  })
}
