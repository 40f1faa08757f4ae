/**
 * What is forgotten once in a thousand appends, a promise, a buffer, a descriptor of a deleted segment, is noticed after days
 * in production and never in a test of a second. So two logs are appended to, followed and rolled at full speed for a while, and
 * deleted from or compacted, with memory and descriptors watched, and with every record, or the last one of every key,
 * accounted for.
 */
import { join } from 'node:path'
import { expect, test, type TestContext } from 'vitest'
import { runChild } from '../support/children.js'
import { isLongRun, timeout } from '../support/long-run.js'
import { root, temporaryDirectory } from '../support/tree.js'

const SECONDS = isLongRun ? 600 : 5
const SAMPLES = isLongRun ? 60 : 10
const MIB = 1 << 20
/** From which on appending waits until some are deleted or compacted. */
const SEGMENTS_AT_MOST = 64
/** What Node itself has open, and what opens and closes between two looks. */
const OTHER_DESCRIPTORS = 60

interface Sample {
  readonly appended: number
  readonly read: number
  readonly shown: number
  readonly rss: number
  readonly heapUsed: number
  readonly external: number
  readonly descriptors: number
  readonly segments: number
  readonly start: number
  readonly compactions: number
}

const largest = (samples: readonly Sample[], of: keyof Sample): number =>
  Math.max(...samples.map((sample) => sample[of]))

export function needsLinux(context: TestContext): void {
  if (process.platform !== 'linux') context.skip('descriptors are counted in /proc, which Linux has')
}

test.concurrent.for([
  { cleanupPolicy: 'delete', done: 'start' },
  { cleanupPolicy: 'compact', done: 'compactions' },
] as const)(
  'memory and descriptors stay flat, and no record is missed: $cleanupPolicy',
  { timeout },
  async ({ cleanupPolicy, done }, context) => {
    needsLinux(context)
    const dir = join(temporaryDirectory(), 'log')
    const script = join(root, 'test', 'soak', 'soaking.mjs')
    const told = JSON.stringify({
      dir,
      seconds: SECONDS,
      samples: SAMPLES,
      cleanupPolicy,
      segmentsAtMost: SEGMENTS_AT_MOST,
    })
    const { code, stdout, stderr } = await runChild(process.execPath, ['--expose-gc', script, told])
    const lines = stdout.toString().trim().split('\n')
    expect([code, stderr, lines.at(-1)]).toEqual([0, '', 'ended'])
    const samples = lines
      .filter((line) => line.startsWith('sample '))
      .map((line) => JSON.parse(line.slice('sample '.length)) as Sample)

    // They come from a timer, and a busy machine may have skipped some.
    expect(samples.length).toBeGreaterThan(SAMPLES / 2)
    const last = samples.at(-1)!
    expect(last.read).toBe(last.appended)
    expect(last[done], 'the log was deleted from, or compacted').toBeGreaterThan(0)

    const early = samples.slice(0, Math.ceil(samples.length / 2))
    const late = samples.slice(early.length)
    if (isLongRun) {
      console.log(
        `${cleanupPolicy}: ${last.appended} records, ${last.shown} shown, ${last.compactions} compactions; at most ` +
          `${Math.round(largest(samples, 'rss') / MIB)} MiB, ${largest(samples, 'descriptors')} descriptors, ` +
          `${largest(samples, 'segments')} segments`,
      )
    }
    expect(largest(late, 'heapUsed')).toBeLessThan(largest(early, 'heapUsed') + 16 * MIB)
    expect(largest(late, 'external')).toBeLessThan(largest(early, 'external') + 32 * MIB)
    expect(largest(late, 'rss')).toBeLessThan(largest(early, 'rss') * 1.2 + 64 * MIB)
    for (const { descriptors, segments } of samples) {
      expect(descriptors, 'one for each segment at most').toBeLessThan(segments + OTHER_DESCRIPTORS)
    }
    // Appending may begin two while it waits, and those that take the place of others come before these go.
    expect(largest(samples, 'segments')).toBeLessThan(SEGMENTS_AT_MOST + 16)
  },
)
