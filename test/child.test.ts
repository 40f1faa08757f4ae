// What the scripts start must end, whatever the network does to it.
import { expect, test } from 'vitest'
import { run } from '../scripts/child.mjs'

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
