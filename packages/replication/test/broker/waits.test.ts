import { expect, test } from 'vitest'
import { Waits } from '../../src/broker/waits.js'

test('the next is the first to end, and none is next once all have ended', () => {
  const waits = new Waits<'long' | 'short'>(1000)
  expect(waits.next).toBeNull()
  waits.set('long', 300)
  waits.set('short', 200)
  expect(waits.next).toBe(1200)
  waits.turn(1200)
  expect([waits.has('short'), waits.has('long')]).toEqual([false, true])
  expect(waits.next).toBe(1300)
  waits.turn(1300)
  expect(waits.next).toBeNull()
})

test('a clock that goes back makes no wait longer or shorter', () => {
  const waits = new Waits<'it'>(1000)
  waits.set('it', 100)
  waits.turn(1040)
  waits.turn(0)
  expect(waits.next).toBe(60)
  waits.turn(59)
  expect(waits.has('it')).toBe(true)
  waits.turn(60)
  expect(waits.has('it')).toBe(false)
})
