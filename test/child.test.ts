// What the scripts start must end, whatever the network does to it.
import { expect, test } from 'vitest'
import { run } from '../scripts/child.mjs'
import { ended } from './conformance/client-table/programs/processes.mjs'
import { runChild } from './support/children.js'

const node = (program: string, seconds: number) =>
  run(process.execPath, ['-e', program], { capture: true, seconds })

test('a command is ended when its time is over', async () => {
  const { late, code, output } = await node(`console.log('started'); setInterval(() => {}, 1000)`, 0.5)
  expect({ late, code, output }).toEqual({ late: true, code: 1, output: 'started\n' })
})

test('one that does not listen is ended all the same, and what it has started is not waited for', async () => {
  const { late, code, output } = await node(
    `process.on('SIGTERM', () => {})
    console.log(require('node:child_process').spawn('sleep', ['60'], { stdio: 'inherit' }).pid)
    setInterval(() => {}, 1000)`,
    0.5,
  )
  expect({ late, code }).toEqual({ late: true, code: 1 })
  expect(process.kill(Number(output), 'SIGKILL')).toBe(true)
})

test('one that ends in time is not late', async () => {
  expect(await node('', 20)).toMatchObject({ late: false, code: 0 })
})

// More than a pipe holds, so that some is left whenever the process ends.
const unread = 'x'.repeat(1 << 20)

test('a process that ends without reading its input is judged by its end', async () => {
  const say = `console.log('no'), process.exit(3)`
  const { code, stdout } = await runChild(process.execPath, ['-e', say], { input: unread })
  expect({ code, stdout: stdout.toString() }).toEqual({ code: 3, stdout: 'no\n' })
  expect((await runChild(process.execPath, ['-e', `process.stdin.pipe(process.stdout)`])).stdout.length).toBe(
    0,
  )
})

test('so is one that a program of the client table runs', async () => {
  const { code, output } = await ended(process.execPath, ['-e', `console.log('no'), process.exit(3)`], unread)
  expect({ code, output: output.toString() }).toEqual({ code: 3, output: 'no\n' })
  expect((await ended(process.execPath, ['-e', `process.stdin.pipe(process.stdout)`])).output.length).toBe(0)
})
