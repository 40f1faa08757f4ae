// One line for each bad connection is what an operator wants, and what fills the disk when somebody makes a thousand of
// them in a second. Nor may whoever does that choose what else the log says.
import { expect, test } from 'vitest'
import { LimitedLog } from '../src/limited-log.js'
import { ManualClock } from './support/manual-clock.js'
import { startTestBroker } from './support/test-broker.js'

function limited() {
  const clock = new ManualClock()
  const lines: string[] = []
  const log = new LimitedLog((level, line) => lines.push(`${level} ${line}`), clock)
  return { clock, lines, log }
}

test('a reason gets one line in a second, and then one with the number of the others', () => {
  const { clock, lines, log } = limited()
  for (let i = 0; i < 1000; i++) log.write('warn', `frame of ${i} bytes`, `peer ${i}`)
  log.write('error', 'another reason', 'another')
  expect(lines).toEqual(['warn peer 0', 'error another'])
  clock.advance(1_000)
  expect(lines.slice(2)).toEqual(['warn peer 999 (and 998 more)'])
  log.write('warn', 'frame of 7 bytes', 'peer 7')
  expect(lines).toHaveLength(3)
  clock.advance(1_000)
  expect(lines.slice(3)).toEqual(['warn peer 7'])
  clock.advance(2_000)
  expect(clock.pending).toBe(0)
  log.write('warn', 'frame of 8 bytes', 'peer 8')
  expect(lines.slice(4)).toEqual(['warn peer 8'])
})

test('reasons that somebody makes up do not get around it', () => {
  const { lines, log } = limited()
  for (let i = 0; i < 1000; i++) log.write('warn', `made up ${'x'.repeat(i)}`, 'line')
  expect(lines.length).toBeLessThan(30)
})

test('what is withheld at the end is said, and no timer stays', () => {
  const { clock, lines, log } = limited()
  for (let i = 0; i < 3; i++) log.write('warn', 'reason', `peer ${i}`)
  log.close()
  expect(lines).toEqual(['warn peer 0', 'warn peer 2 (and 1 more)'])
  expect(clock.pending).toBe(0)
})

test('a hundred bad connections are two lines', async () => {
  const { connect, lines, clock } = await startTestBroker()
  for (let i = 0; i < 100; i++) {
    const client = await connect()
    client.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    await client.closed
  }
  expect(lines).toHaveLength(1)
  clock.advance(1_000)
  expect(lines).toHaveLength(2)
  expect(lines[1]).toMatch(/^warn closed the connection of .* \(and 98 more\)$/)
})
