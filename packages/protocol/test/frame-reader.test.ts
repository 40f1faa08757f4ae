// A frame that is cut in the wrong place gives a neighbour's bytes to a partition, and a view of the shared staging
// buffer that outlives its callback gives it another connection's. So frames are compared by hash, with the staging
// overwritten after each read. And memory is counted: what a peer merely declares must cost nothing, and half-received
// frames must not lock each other out.

import { createHash } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { ByteBudget, FramePool, FrameReader, type FrameReaderOptions, ProtocolError } from '../src/index.js'

const STAGING_BYTES = 256 * 1024
const MIB = 1024 * 1024

/** A small, seeded generator of uniform numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const hashOf = (bytes: Buffer) => createHash('sha1').update(bytes).digest('hex')

/** Content that differs everywhere, so that bytes from the wrong place show. */
function payload(byteLength: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(byteLength)
  for (let i = 0; i < byteLength; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + seed * 101) & 0xff
  return bytes
}

function framed(body: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

const declaring = (byteLength: number) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(byteLength)
  return length
}

function reader(options: Partial<FrameReaderOptions> = {}) {
  const frames: { bytes: Buffer; owned: boolean }[] = []
  const own: Buffer[] = []
  const budget = options.budget ?? new ByteBudget(1024 * MIB)
  const events = { ready: 0 }
  const self = new FrameReader({
    staging: Buffer.alloc(STAGING_BYTES),
    maxFrameBytes: 100 * MIB,
    budget,
    pool: new FramePool(),
    onFrame: (frame, owned) => {
      frames.push({ bytes: Buffer.from(frame), owned })
      if (owned) own.push(frame)
    },
    onReady: () => void events.ready++,
    ...options,
  })
  return { reader: self, frames, own, budget, events }
}

/** A socket: the kernel copies at most what the reader's buffer holds, and the next connection overwrites the staging. */
function readAll(target: FrameReader, staging: Buffer, stream: Buffer, random: () => number): void {
  for (let at = 0; at < stream.length;) {
    const buffer = target.nextBuffer()
    const available = random() < 0.3 ? 1 + Math.floor(random() * 2000) : Math.floor(1 + random() * 400_000)
    const count = Math.min(available, buffer.length, stream.length - at)
    stream.copy(buffer, 0, at, at + count)
    expect(target.received(count)).toBe(true)
    staging.fill(0xee)
    at += count
  }
}

function randomSizes(random: () => number, count: number): number[] {
  return Array.from({ length: count }, () => {
    const kind = random()
    if (kind < 0.6) return 4 + Math.floor(random() * 2000)
    if (kind < 0.9) return 4 + Math.floor(random() * 70_000)
    return 4 + Math.floor(random() * 1_500_000)
  })
}

describe('random frames in random pieces', () => {
  test.each([1, 2, 3])('read into the buffers that it names, seed %i', (seed) => {
    const random = randomOf(seed)
    const staging = Buffer.alloc(STAGING_BYTES)
    const got: string[] = []
    const budget = new ByteBudget(64 * MIB)
    const { reader: self } = reader({
      staging,
      budget,
      onFrame: (frame, owned) => {
        got.push(hashOf(frame))
        if (owned) self.release(frame)
      },
    })
    const sizes = randomSizes(random, 1000)
    const expected: string[] = []
    for (let from = 0; from < sizes.length; from += 100) {
      const bodies = sizes.slice(from, from + 100).map((size, i) => payload(size, from + i))
      expected.push(...bodies.map(hashOf))
      readAll(self, staging, Buffer.concat(bodies.map(framed)), random)
    }
    expect(got).toEqual(expected)
    expect(self.partialBytes).toBe(0)
    expect(budget.usedBytes).toBe(0)
  })

  test.each([4, 5, 6])('pushed, seed %i', (seed) => {
    const random = randomOf(seed)
    const { reader: self, frames, own, budget } = reader()
    const bodies = randomSizes(random, 150).map((size, i) => payload(size, i))
    const stream = Buffer.concat(bodies.map(framed))
    for (let at = 0; at < stream.length;) {
      const count = Math.min(Math.floor(1 + random() * 65_536), stream.length - at)
      const chunk = Buffer.from(stream.subarray(at, at + count))
      expect(self.push(chunk)).toBe(true)
      chunk.fill(0xee)
      at += count
    }
    expect(frames.map(({ bytes }) => hashOf(bytes))).toEqual(bodies.map(hashOf))
    // Owned frames stay what they were, whatever was read since.
    const owned = frames.filter((frame) => frame.owned)
    own.forEach((frame, i) => expect(hashOf(frame)).toBe(hashOf(owned[i]!.bytes)))
    for (const frame of own) self.release(frame)
    expect(budget.usedBytes).toBe(0)
  })

  // As Node does it, a connection that pauses has already been told where its next read goes.
  test.each([64 * MIB, MIB, 1])(
    'many connections on one staging buffer and a budget of %i bytes',
    (limit) => {
      const random = randomOf(7)
      const staging = Buffer.alloc(STAGING_BYTES)
      const budget = new ByteBudget(limit)
      const lent: (() => void)[] = []
      const connections = Array.from({ length: 20 }, (_, n) => {
        const bodies = randomSizes(random, 15).map((size, i) => payload(size, n * 100 + i))
        const got: string[] = []
        const connection = { self: undefined as never as FrameReader, got, bodies, paused: false, at: 0 }
        const { reader: self } = reader({
          staging,
          budget,
          onFrame: (frame, owned) => {
            got.push(hashOf(frame))
            if (owned) lent.push(() => self.release(frame))
          },
          onReady: () => {
            expect(connection.paused).toBe(true)
            connection.paused = false
          },
        })
        connection.self = self
        return Object.assign(connection, {
          stream: Buffer.concat(bodies.map(framed)),
          next: self.nextBuffer(),
        })
      })
      let pauses = 0
      for (let round = 0; ; round++) {
        // Nobody may be left waiting for ever.
        expect(round).toBeLessThan(50_000)
        const left = connections.filter((connection) => connection.at < connection.stream.length)
        if (left.length === 0) break
        const live = left.filter((connection) => !connection.paused)
        // Frames are released some time later, at the latest when nobody can go on without.
        if (lent.length > 0 && (live.length === 0 || random() < 0.3)) lent.shift()!()
        if (live.length === 0) continue
        const connection = live[Math.floor(random() * live.length)]!
        const { stream, at, next } = connection
        const count = Math.min(Math.floor(1 + random() * 100_000), next.length, stream.length - at)
        stream.copy(next, 0, at, at + count)
        connection.at += count
        if (!connection.self.received(count)) {
          connection.paused = true
          pauses++
        }
        connection.next = connection.self.nextBuffer()
      }
      for (const release of lent) release()
      for (const { got, bodies } of connections) expect(got).toEqual(bodies.map(hashOf))
      expect(budget.usedBytes).toBe(0)
      expect(pauses > 0).toBe(limit <= MIB)
    },
  )
})

describe('what a connection holds', () => {
  test('nothing between frames, whether they came in one read or byte by byte', () => {
    const { reader: self, frames, budget } = reader()
    self.push(Buffer.concat([framed(payload(100, 1)), framed(payload(2000, 2))]))
    expect(budget.usedBytes).toBe(0)
    expect(frames.map(({ owned }) => owned)).toEqual([false, false])
    for (const byte of framed(payload(10, 3)).subarray(0, 4)) self.push(Buffer.from([byte]))
    expect(self.partialBytes).toBe(4)
    expect(budget.usedBytes).toBe(0)
  })

  test('64 KiB for a frame that declares 100 MB and has sent a byte', () => {
    const { reader: self, budget } = reader()
    self.push(Buffer.concat([declaring(100 * MIB), Buffer.from([1])]))
    expect(budget.usedBytes).toBe(64 * 1024)
    self.close()
    expect(budget.usedBytes).toBe(0)
  })

  test('all of it for whom is trusted, and nothing is copied that the socket reads', () => {
    const { reader: self, budget, frames } = reader({ trusted: true })
    const body = payload(9 * MIB, 1)
    self.push(Buffer.concat([declaring(body.length), body.subarray(0, 1)]))
    expect(budget.usedBytes).toBe(FramePool.sizeFor(body.length))
    const room = self.nextBuffer()
    expect(room.length).toBe(body.length - 1)
    body.copy(room, 0, 1)
    self.received(room.length)
    expect(frames.map(({ bytes }) => hashOf(bytes))).toEqual([hashOf(body)])
  })

  test('at most about twice what has arrived of a large frame', () => {
    const { reader: self, budget } = reader()
    const body = payload(20 * MIB, 1)
    self.push(declaring(body.length))
    for (let at = 0; at < body.length; at += 50_000) {
      self.push(body.subarray(at, at + 50_000))
      const arrived = Math.min(at + 50_000, body.length)
      expect(budget.usedBytes).toBeLessThanOrEqual(Math.max(64 * 1024, 2.5 * arrived))
    }
  })

  test('after a large frame the next one gets its buffer at once, and the socket reads into it to its end', () => {
    const { reader: self, frames, own, budget } = reader()
    const body = payload(MIB + 90, 1)
    self.push(framed(body).subarray(0, 500_000))
    self.push(framed(body).subarray(500_000))
    self.release(own[0]!)
    self.push(framed(body).subarray(0, 1000))
    const room = self.nextBuffer()
    expect(room.length).toBe(4 + body.length - 1000)
    body.copy(room, 0, 996)
    self.received(room.length)
    expect(frames.map(({ bytes, owned }) => [hashOf(bytes), owned])).toEqual([
      [hashOf(body), true],
      [hashOf(body), true],
    ])
    expect(budget.usedBytes).toBe(1.25 * MIB)
    self.release(own[1]!)
    expect(budget.usedBytes).toBe(0)
    expect(() => self.release(own[1]!)).toThrow(TypeError)
  })

  test('earning stops at 1.25 MiB', () => {
    const { reader: self, own, budget } = reader()
    self.push(framed(payload(50 * MIB, 1)).subarray(0, 10))
    self.push(framed(payload(50 * MIB, 1)).subarray(10))
    self.release(own[0]!)
    self.push(Buffer.concat([declaring(100 * MIB), Buffer.from([1])]))
    expect(budget.usedBytes).toBe(1.25 * MIB)
  })
})

describe('the budget', () => {
  const half = (byteLength: number) => framed(payload(byteLength, 1)).subarray(0, 4 + byteLength / 2)

  test('a reader that it refuses pauses and is woken when there is room', () => {
    const budget = new ByteBudget(4 * MIB)
    budget.reserve(3.5 * MIB)
    // Somebody else already has the one grant beyond the limit.
    budget.wait(MIB, () => {})
    const { reader: self, frames, events } = reader({ budget })
    const body = payload(MIB, 9)
    expect(self.push(framed(body).subarray(0, 200_000))).toBe(false)
    expect(self.waiting).toBe(true)
    expect(self.nextBuffer().length).toBe(STAGING_BYTES)
    expect(events.ready).toBe(0)
    budget.release(3.5 * MIB)
    expect(events.ready).toBe(1)
    expect(self.waiting).toBe(false)
    expect(self.push(framed(body).subarray(200_000))).toBe(true)
    expect(hashOf(frames[0]!.bytes)).toBe(hashOf(body))
  })

  test('a paused reader that is fed nevertheless loses nothing', () => {
    const budget = new ByteBudget(MIB)
    budget.wait(2 * MIB, () => {})
    const { reader: self, frames, own, events } = reader({ budget })
    const body = payload(3 * MIB, 9)
    const stream = framed(body)
    for (let at = 0; at < stream.length - 10; at += 300_000) {
      expect(self.push(stream.subarray(at, Math.min(at + 300_000, stream.length - 10)))).toBe(false)
    }
    budget.release(2 * MIB)
    budget.settle()
    expect(events.ready).toBe(1)
    expect(self.push(stream.subarray(stream.length - 10))).toBe(true)
    expect(hashOf(frames[0]!.bytes)).toBe(hashOf(body))
    self.release(own[0]!)
    expect(budget.usedBytes).toBe(0)
  })

  test('a hundred half-received frames do not lock each other out', () => {
    const frameBytes = 2 * MIB
    const budget = new ByteBudget(8 * MIB)
    const pool = new FramePool()
    const completed: number[] = []
    const mayRead = new Set<number>()
    const body = payload(frameBytes, 1)
    const stream = framed(body)
    const readers = Array.from({ length: 100 }, (_, n) => {
      const self: FrameReader = new FrameReader({
        staging: Buffer.alloc(0),
        maxFrameBytes: 100 * MIB,
        budget,
        pool,
        onFrame: (frame) => {
          expect(frame.equals(body)).toBe(true)
          completed.push(n)
          self.release(frame)
        },
        onReady: () => void mayRead.add(n),
      })
      return self
    })
    const position = readers.map(() => 0)
    const step = (n: number, byteLength: number) => {
      const at = position[n]!
      position[n] = at + byteLength
      if (!readers[n]!.push(stream.subarray(at, at + byteLength))) mayRead.delete(n)
    }
    readers.forEach((_, n) => mayRead.add(n))
    // Each gets a first piece, which fills the budget many times over.
    readers.forEach((_, n) => step(n, 200_000))
    expect(completed).toEqual([])
    expect(budget.waiting).toBeGreaterThan(50)
    let steps = 0
    let peak = 0
    while (completed.length < 100) {
      const n = [...mayRead].find((candidate) => position[candidate]! < stream.length)
      expect(n).toBeDefined()
      step(n!, 100_000)
      peak = Math.max(peak, budget.usedBytes)
      expect(++steps).toBeLessThan(5000)
    }
    // The limit, what was in hand when it was reached, and the one frame that may exceed it.
    expect(peak).toBeLessThan(budget.limitBytes + 100 * 250_000 + 2 * frameBytes)
    expect(budget.usedBytes).toBe(0)
    expect(budget.waiting).toBe(0)
  })

  test('the one that may exceed the limit stalls: closing it lets the next one go on', () => {
    const budget = new ByteBudget(100_000)
    const first = reader({ budget })
    const second = reader({ budget })
    expect(first.reader.push(half(400_000))).toBe(true)
    expect(second.reader.push(half(400_000))).toBe(false)
    expect(second.reader.waiting).toBe(true)
    first.reader.close()
    expect(second.events.ready).toBe(1)
    expect(second.reader.push(framed(payload(400_000, 1)).subarray(4 + 200_000))).toBe(true)
    second.reader.release(second.own[0]!)
    expect(budget.usedBytes).toBe(0)
    const third = reader({ budget })
    expect(third.reader.push(half(400_000))).toBe(true)
  })

  test('the grant beyond the limit lasts until its frame is released, even after the connection has ended', () => {
    const budget = new ByteBudget(100_000)
    const first = reader({ budget })
    const second = reader({ budget })
    first.reader.push(half(400_000))
    first.reader.push(framed(payload(400_000, 1)).subarray(4 + 200_000))
    first.reader.close()
    expect(second.reader.push(half(400_000))).toBe(false)
    first.reader.release(first.own[0]!)
    expect(second.events.ready).toBe(1)
  })

  test('closing a reader that waits leaves the queue', () => {
    const budget = new ByteBudget(100_000)
    reader({ budget }).reader.push(half(400_000))
    const { reader: self, events } = reader({ budget })
    const used = budget.usedBytes
    self.push(half(400_000))
    expect(budget.waiting).toBe(1)
    self.close()
    expect(budget.waiting).toBe(0)
    expect(budget.usedBytes).toBe(used)
    expect(events.ready).toBe(0)
    expect(self.push(Buffer.alloc(10))).toBe(false)
  })

  test('grants in order, and nobody overtakes who waits', () => {
    const budget = new ByteBudget(100)
    const granted: string[] = []
    budget.reserve(90)
    budget.wait(50, (overdrawn) => granted.push(`a ${overdrawn}`))
    budget.wait(60, (overdrawn) => granted.push(`b ${overdrawn}`))
    const leave = budget.wait(1, (overdrawn) => granted.push(`c ${overdrawn}`))
    budget.wait(5, (overdrawn) => granted.push(`d ${overdrawn}`))
    expect(granted).toEqual(['a true'])
    expect(budget.reserve(1)).toBe(false)
    budget.release(90)
    expect(granted).toEqual(['a true'])
    leave()
    budget.settle()
    expect(granted).toEqual(['a true', 'b true'])
    budget.release(50)
    expect(granted).toEqual(['a true', 'b true', 'd false'])
    expect(budget.usedBytes).toBe(65)
    expect(() => budget.release(66)).toThrow(RangeError)
    expect(() => new ByteBudget(0)).toThrow(RangeError)
  })
})

describe('holding frames back', () => {
  test('a receiver that returns false gets the rest of the read when it resumes', () => {
    const staging = Buffer.alloc(STAGING_BYTES)
    const got: string[] = []
    let accept = 1
    const { reader: self, budget } = reader({
      staging,
      onFrame: (frame) => {
        got.push(hashOf(frame))
        return --accept > 0
      },
    })
    const bodies = [1, 2, 3, 4, 5].map((n) => payload(1000 * n, n))
    const stream = Buffer.concat([...bodies.map(framed), declaring(50_000), Buffer.alloc(3)])
    stream.copy(self.nextBuffer())
    expect(self.received(stream.length)).toBe(false)
    staging.fill(0xee)
    expect(got).toHaveLength(1)
    expect(budget.usedBytes).toBe(stream.length - 1004)
    accept = 2
    expect(self.resume()).toBe(false)
    expect(got).toHaveLength(3)
    expect(self.push(framed(payload(60_000, 6)).subarray(0, 0))).toBe(false)
    accept = 3
    expect(self.resume()).toBe(true)
    expect(got).toEqual(bodies.map(hashOf))
    expect(self.partialBytes).toBe(7)
    expect(budget.usedBytes).toBe(50_000)
  })

  test('bytes that arrive during a hold wait behind it', () => {
    const got: string[] = []
    let open = false
    const { reader: self, budget } = reader({
      onFrame: (frame) => {
        got.push(hashOf(frame))
        return open
      },
    })
    const bodies = [1, 2, 3, 4].map((n) => payload(500, n))
    self.push(Buffer.concat(bodies.slice(0, 2).map(framed)))
    self.push(Buffer.concat(bodies.slice(2).map(framed)))
    expect(self.resume()).toBe(false)
    open = true
    expect(self.resume()).toBe(true)
    expect(got).toEqual(bodies.map(hashOf))
    expect(budget.usedBytes).toBe(0)
  })

  test('a hold at the very last frame holds back nothing', () => {
    const { reader: self, budget, frames } = reader()
    let holds = 0
    const holding = reader({
      budget,
      onFrame: (frame) => (frames.push({ bytes: frame, owned: false }), ++holds < 0),
    })
    expect(holding.reader.push(framed(payload(10, 1)))).toBe(false)
    expect(holding.reader.push(framed(payload(20, 1)))).toBe(false)
    expect(holding.reader.resume()).toBe(false)
    expect(holding.reader.resume()).toBe(true)
    expect(holds).toBe(2)
    expect(budget.usedBytes).toBe(0)
    self.close()
  })

  test('closing gives back what was held', () => {
    const { reader: self, budget } = reader({ onFrame: () => false })
    self.push(Buffer.concat([framed(payload(10, 1)), framed(payload(10, 1))]))
    expect(budget.usedBytes).toBe(14)
    self.close()
    expect(budget.usedBytes).toBe(0)
    expect(self.resume()).toBe(false)
  })
})

describe('lengths that no frame has', () => {
  test.each([
    [-1, 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /declares -1 bytes/],
    [-0x80000000, 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /at most 104857600 are accepted/],
    [100 * MIB + 1, 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /declares 104857601 bytes/],
    [0x7fffffff, 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /at most/],
    [0, 'VARVE_PROTOCOL_FRAME_TOO_SMALL', /declares 0 bytes/],
    [3, 'VARVE_PROTOCOL_FRAME_TOO_SMALL', /fewer than 4/],
    [Buffer.from('GET ').readInt32BE(), 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /seems to speak HTTP/],
    [0x16030100, 'VARVE_PROTOCOL_FRAME_TOO_LARGE', /seems to speak TLS/],
  ])('%i', (declared, code, message) => {
    const { reader: self, frames, budget } = reader()
    const stream = Buffer.concat([framed(payload(100, 1)), declaring(declared), Buffer.alloc(100)])
    let error: unknown
    try {
      self.push(stream)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    // What came before it was a frame.
    expect(frames).toHaveLength(1)
    expect(self.push(framed(payload(100, 1)))).toBe(false)
    expect(frames).toHaveLength(1)
    expect(budget.usedBytes).toBe(0)
  })

  test('the largest and the smallest frame are frames', () => {
    const { reader: self, frames } = reader({ maxFrameBytes: 1000 })
    self.push(Buffer.concat([framed(payload(1000, 1)), framed(payload(4, 1))]))
    expect(frames.map(({ bytes }) => bytes.length)).toEqual([1000, 4])
  })
})

test('a receiver that throws ends its connection and keeps nothing', () => {
  const { reader: self, budget } = reader({
    onFrame: () => {
      throw new Error('no')
    },
  })
  expect(() => self.push(Buffer.concat([framed(payload(10, 1)), framed(payload(10, 1))]))).toThrow('no')
  expect(self.push(framed(payload(10, 1)))).toBe(false)
  expect(budget.usedBytes).toBe(0)
})

test('a receiver that closes the reader gets no more frames', () => {
  let count = 0
  const { reader: self } = reader({
    onFrame: () => {
      count++
      self.close()
    },
  })
  expect(self.push(Buffer.concat([framed(payload(10, 1)), framed(payload(10, 1))]))).toBe(false)
  expect(count).toBe(1)
})

test('the pool keeps large buffers up to its bound and gives them out again', () => {
  const pool = new FramePool(3 * MIB)
  const first = pool.take(MIB + 1)
  expect(first.length).toBe(1.25 * MIB)
  pool.give(first)
  expect(pool.pooledBytes).toBe(1.25 * MIB)
  expect(pool.take(MIB + 100)).toBe(first)
  expect(pool.pooledBytes).toBe(0)
  for (let i = 0; i < 5; i++) pool.give(Buffer.alloc(MIB))
  expect(pool.pooledBytes).toBe(3 * MIB)
  // Neither small ones, nor sizes that nobody asks for, nor giants.
  pool.give(Buffer.alloc(1000))
  expect(pool.take(1000).length).toBe(1000)
  expect(FramePool.sizeFor(65_536)).toBe(65_536)
  expect(FramePool.sizeFor(65_537)).toBe(81_920)
  expect(FramePool.sizeFor(16 * MIB)).toBe(16 * MIB)
  expect(FramePool.sizeFor(16 * MIB + 1)).toBe(16 * MIB + 1)
})

test('the pool lets go of what nobody has needed for a while, and keeps what is in use', () => {
  vi.useFakeTimers()
  try {
    const pool = new FramePool()
    for (const buffer of [pool.take(MIB), pool.take(MIB), pool.take(MIB)]) pool.give(buffer)
    // One is in use again and again: of the three two are too many.
    for (let round = 0; round < 2; round++) {
      pool.give(pool.take(MIB))
      vi.advanceTimersByTime(5_000)
    }
    expect(pool.pooledBytes).toBe(MIB)
    vi.advanceTimersByTime(10_000)
    expect(pool.pooledBytes).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
