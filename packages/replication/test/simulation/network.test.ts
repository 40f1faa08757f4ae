// What a network does to messages, and that a restarted node is another one to it.

import { expect, test } from 'vitest'
import { Network, type NetworkOptions, type Packet } from './network.js'
import { SimulatedNode } from './node.js'
import { Random } from './random.js'
import { VirtualTime } from './virtual-time.js'

function connect(options: Partial<NetworkOptions<number>> = {}, seed = 1) {
  const time = new VirtualTime()
  const network = new Network<number>({ time, random: new Random(seed), ...options })
  const nodes = [1, 2, 3].map((id) => new SimulatedNode(time, id))
  const got: [from: number, to: number, message: number, at: number][] = []
  const resets: [node: number, peer: number][] = []
  const packets: Packet<number>[] = []
  for (const node of nodes) {
    network.join(
      node,
      (packet) => {
        got.push([packet.from, packet.to, packet.message, time.now])
        packets.push(packet)
      },
      (peer) => resets.push([node.id, peer]),
    )
  }
  const messages = (): number[] => got.map(([, , message]) => message)
  const [one, two, three] = nodes as [SimulatedNode, SimulatedNode, SimulatedNode]
  return { time, network, got, messages, packets, resets, one, two, three }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

test('messages arrive once and in order, unless told otherwise', () => {
  const { time, network, got, messages } = connect()
  for (const i of numbers(200)) network.send(1, 2, i)
  time.runUntil(1000)
  expect(messages()).toEqual(numbers(200))
  expect(got.every(([, , , at]) => at > 0)).toBe(true)
})

test('the same seed loses, repeats and reorders the same', () => {
  const run = (seed: number): number[] => {
    const { time, network, messages } = connect({ loss: 0.1, duplicate: 0.1, reorder: 0.5 }, seed)
    for (const i of numbers(200)) time.at(i, () => network.send(1, 2, i))
    time.runUntil(1000)
    return messages()
  }
  const got = run(5)
  expect(got).toEqual(run(5))
  expect(got).not.toEqual(run(6))
  expect(new Set(got).size).toBeLessThan(195)
  expect(got.length).toBeGreaterThan(new Set(got).size)
  expect(got).not.toEqual([...got].sort((one, other) => one - other))
})

test('a cut goes one way, splits both, and takes what is under way', () => {
  const { time, network, messages } = connect()
  network.cut(1, 2)
  network.send(1, 2, 0)
  network.send(2, 1, 1)
  network.send(1, 3, 2)
  time.runUntil(100)
  expect(messages().sort()).toEqual([1, 2])
  network.heal(1, 2)
  network.send(1, 2, 3)
  network.split([1], [2, 3])
  network.send(3, 1, 4)
  network.send(2, 3, 5)
  time.runUntil(200)
  expect(messages().slice(2)).toEqual([5])
  network.isolate(3)
  network.send(2, 3, 6)
  network.healAll()
  network.send(2, 3, 7)
  time.runUntil(300)
  expect(messages().slice(3)).toEqual([7])
})

test('a slow link is slow in its direction', () => {
  const { time, network, got } = connect({ latency: { min: 1, mean: 1, max: 1 } })
  network.slow(1, 2, 50)
  network.send(1, 2, 0)
  network.send(2, 1, 1)
  time.runUntil(100)
  expect(got).toEqual([
    [2, 1, 1, 1],
    [1, 2, 0, 50],
  ])
})

test('what was meant for a former life is dropped, answers too, and none leaves a node that is not up', () => {
  const { time, network, messages, packets, one, two } = connect()
  network.send(1, 2, 0)
  two.crash()
  two.start()
  network.send(1, 2, 1)
  time.runUntil(100)
  expect(messages()).toEqual([1])
  const request = packets[0]!
  one.crash()
  one.start()
  network.reply(request, 2)
  time.runUntil(200)
  network.send(1, 2, 3)
  time.runUntil(300)
  two.crash()
  two.start()
  network.reply(packets.at(-1)!, 4)
  one.crash()
  network.send(1, 2, 5)
  time.runUntil(400)
  expect(messages()).toEqual([1, 3])
})

test('a paused node gets its messages when it goes on', () => {
  const { time, network, messages, two } = connect()
  two.pause()
  network.send(1, 2, 0)
  network.send(1, 2, 1)
  time.runUntil(500)
  expect(messages()).toEqual([])
  two.resume()
  time.runUntil(500)
  expect(messages()).toEqual([0, 1])
})

test('of a process that crashes its peers hear, of a machine without power nobody', () => {
  const { time, network, resets } = connect()
  network.cut(1, 3)
  network.crash(1, true)
  time.runUntil(100)
  expect(resets).toEqual([[2, 1]])
  network.crash(3, false)
  time.runUntil(200)
  expect(resets).toEqual([[2, 1]])
})
