// Everything in a simulation happens in the order of one heap: it has to be total, and the same each time.

import { expect, test } from 'vitest'
import { SimulatedNode } from './node.js'
import { Random } from './random.js'
import { NodeClock, type Timer, VirtualTime } from './virtual-time.js'

test('events run by time, those of one time in the order in which they were asked for, cancelled ones never', () => {
  const random = new Random(1)
  const time = new VirtualTime()
  const ran: number[] = []
  const expected: { time: number; id: number }[] = []
  const timers: Timer[] = []
  for (let id = 0; id < 500; id++) {
    const at = random.int(0, 40)
    timers.push(time.at(at, (id: number) => void ran.push(id), id))
    expected.push({ time: at, id })
  }
  const cancelled = new Set([3, 77, 200, 499])
  for (const id of cancelled) timers[id]!.cancel()
  while (time.runNext());
  expected.sort((one, other) => one.time - other.time || one.id - other.id)
  expect(ran).toEqual(expected.map(({ id }) => id).filter((id) => !cancelled.has(id)))
  expect(time.executed).toBe(496)
  expect(timers.some(({ isPending }) => isPending)).toBe(false)
})

test('an event may ask for others, for now as well, and none is in the past', () => {
  const time = new VirtualTime()
  const seen: [string, number][] = []
  time.at(10, () => {
    seen.push(['first', time.now])
    time.at(3, () => void seen.push(['late', time.now]))
    time.after(0.5, () => void seen.push(['soon', time.now]))
  })
  time.at(10, () => void seen.push(['second', time.now]))
  time.runUntil(10)
  expect(seen).toEqual([
    ['first', 10],
    ['second', 10],
    ['late', 10],
  ])
  time.runUntil(20)
  expect(seen.at(-1)).toEqual(['soon', 10.5])
  expect([time.now, time.nextTime(), time.runNext()]).toEqual([20, Infinity, false])
})

test('a clock goes wrong in rate and by jumps, and its timers go by its rate', () => {
  const time = new VirtualTime()
  const clock = new NodeClock(time, { offset: 1000 })
  time.runUntil(100)
  clock.setRate(2)
  time.runUntil(150)
  expect(clock.now()).toBe(1200)
  clock.jump(-500)
  expect(clock.now()).toBe(700)
  let ran = 0
  new SimulatedNode(time, 1, clock).after(100, () => void (ran = time.now))
  time.runUntil(1000)
  expect(ran).toBe(200)
})

test('timers and deliveries of a node wait while it is paused, one event each afterwards, and end with its life', () => {
  const time = new VirtualTime()
  const node = new SimulatedNode(time, 1)
  const seen: string[] = []
  const see = (what: string): void => void seen.push(what)
  node.after(10, see, 'timer')
  node.pause()
  time.runUntil(20)
  node.deliver(node.incarnation, see, 'message', undefined)
  expect(seen).toEqual([])
  node.resume()
  time.runNext()
  expect(seen).toEqual(['timer'])
  // It goes on waiting when the node is paused again before it was its turn.
  node.pause()
  time.runUntil(30)
  expect(seen).toEqual(['timer'])
  node.resume()
  time.runUntil(30)
  expect(seen).toEqual(['timer', 'message'])

  const life = node.incarnation
  node.after(10, see, 'timer of a former life')
  node.pause()
  node.deliver(life, see, 'queued in a former life', undefined)
  node.crash()
  node.deliver(life, see, 'to one that is down', undefined)
  node.start()
  node.deliver(life, see, 'to a former life', undefined)
  time.runUntil(100)
  expect(seen).toEqual(['timer', 'message'])
  expect(node.incarnation).toBe(life + 1)
})
