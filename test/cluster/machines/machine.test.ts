/**
 * A fault that does nothing proves nothing: a disk that was said to be slow and was not, a clock that did not jump, a process that
 * went on while it was paused. So each is done to a small program that tells what it notices, and that notices its end.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { straceMissing } from '../../support/strace-missing.js'
import { root } from '../../support/tree.js'
import type { MachineProcess } from './machine-process.js'
import type { Machine, StartOptions } from './machine.js'
import { Machines } from './machines.js'
import { diskMissing, machinesMissing } from './missing.js'
import { failCalls, slowCalls } from './traced-calls.js'
import { clockMissing } from './wall-clock.js'

const missing = machinesMissing()
const because = (reason: string | null): string => (reason === null ? '' : ` (skipped: ${reason})`)

describe.skipIf(missing !== null)(`a machine${because(missing)}`, () => {
  let machines: Machines
  let one: Machine
  beforeAll(() => {
    machines = Machines.create(['one'])
    one = machines.machine('one')
  })
  afterAll(() => machines?.close())

  const node = (program: string, options?: StartOptions): Promise<MachineProcess> =>
    one.start(process.execPath, ['-e', program], options)
  /** The next line that has such words, of those that it prints from now on. */
  const next = (process: MachineProcess, words: RegExp): Promise<RegExpExecArray> =>
    process.said(new RegExp(`^[^]{${process.stdout.length},}?\\n${words.source}\\n`))

  describe('a process', () => {
    test('is told to end, and says how it has', async () => {
      const polite = await node(
        `process.on('SIGTERM', () => process.exit(7)); console.log('up'); setInterval(() => {}, 1e6)`,
      )
      await polite.said(/up/)
      expect(await polite.stop()).toBe(7)
      const ended = await node('')
      expect(await ended.exited).toEqual({ code: 0, signal: null })
      expect(ended.isRunning).toBe(false)
    })

    test('is killed on the spot', async () => {
      const deaf = await node(
        `process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1e6)`,
      )
      await deaf.said(/up/)
      await deaf.kill()
      expect(await deaf.exited).toEqual({ code: null, signal: 'SIGKILL' })
    })

    test('that ends before it says what is waited for tells what it said instead', async () => {
      const failing = await node(`console.log('on my way'); console.error('no such port'); process.exit(3)`)
      await expect(failing.said(/ready/)).rejects.toThrow(
        /on one ended with 3 before it said \/ready\/: on my way\n\nno such port/,
      )
      const silent = await node('setInterval(() => {}, 1e6)')
      await expect(silent.said(/ready/, 10)).rejects.toThrow(
        'did not say /ready/ within 10 ms: it said nothing',
      )
      await silent.kill()
    })

    test('stands still while it is paused', async () => {
      const tick = `let n = 0; setInterval(() => console.log('tick ' + ++n), 2)`
      const [paused, other] = [await node(tick), await node(tick)]
      await paused.said(/tick 3/)
      await paused.pause()
      // What it has written is read by then.
      for (let n = 0; n < 3; n++) await next(other, /tick \d+/)
      const before = paused.stdout
      for (let n = 0; n < 10; n++) await next(other, /tick \d+/)
      expect(paused.stdout).toBe(before)
      paused.resume()
      await next(paused, /tick \d+/)
      await Promise.all([paused.kill(), other.kill()])
    })
  })

  describe('a disk', () => {
    const flusher = join(root, 'test', 'cluster', 'machines', 'programs', 'flusher.mjs')
    const flush = async (folder: string): Promise<MachineProcess> => {
      const flushing = await one.start(process.execPath, [flusher, join(folder, 'file')])
      await flushing.said(/flushed/)
      return flushing
    }

    test.for(['tmpfs', 'ext4'] as const)('is full, and has room again, as %s', async (kind, context) => {
      const missing = diskMissing(kind)
      if (missing !== null) context.skip(missing)
      const disk = machines.disk(kind, 8, kind)
      const flushing = await flush(disk.directory)
      disk.fill()
      await next(flushing, /failed ENOSPC/)
      disk.free()
      await next(flushing, /flushed in \d+ ms/)
      await flushing.kill()
    })

    test.skipIf(straceMissing !== null)(`is slow for a while${because(straceMissing)}`, async () => {
      const flushing = await flush(machines.folder)
      const letGo = await slowCalls(flushing, 150)
      await next(flushing, /flushed in (1[5-9]\d|[2-9]\d\d|\d{4,}) ms/)
      await expect(slowCalls(flushing, 150)).rejects.toThrow('has a tracer already')
      await letGo()
      await next(flushing, /flushed in \d{1,2} ms/)
      await flushing.kill()
    })

    test.skipIf(straceMissing !== null)(`fails to flush for a while${because(straceMissing)}`, async () => {
      const flushing = await flush(machines.folder)
      const letGo = await failCalls(flushing, 'EIO')
      await next(flushing, /failed EIO/)
      await letGo()
      await next(flushing, /flushed in \d+ ms/)
      const letGoAgain = await failCalls(flushing, 'ENOSPC')
      await next(flushing, /failed ENOSPC/)
      await flushing.kill()
      await letGoAgain()
    })
  })

  describe('a wall clock', () => {
    const HOUR = 3600_000
    const show = `const began = Date.now() - performance.now()
      setInterval(() => console.log(Math.round((Date.now() - performance.now() - began) / 1000), performance.now() | 0), 5)`

    test.skipIf(clockMissing !== null)(
      `jumps under a process that runs, and its timers do not notice${because(clockMissing)}`,
      async () => {
        const clock = machines.clock('one')
        const began = performance.now()
        const showing = await node(show, { clock })
        await showing.said(/^0 /)
        clock.jump(HOUR)
        await next(showing, /3600 \d+/)
        clock.jump(-3 * HOUR)
        await next(showing, /-7200 \d+/)
        clock.set(0)
        const [, up] = await next(showing, /0 (\d+)/)
        expect(Number(up)).toBeLessThanOrEqual(performance.now() - began)
        await showing.kill()
        expect(readdirSync('/dev/shm').filter((name) => name.endsWith(`_${showing.pid}`))).toEqual([])
      },
    )
  })
})
