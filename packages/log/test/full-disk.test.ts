/**
 * A disk that fills up fails in the middle of a write. What was acknowledged before must stay readable at once and be there
 * after somebody has made room; and nothing half-written may be taken for a record.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLog, type Log } from '../src/index.js'
import { howToGetOne, smallDisk } from './small-disk.js'

const MIB = 1 << 20
const disk = smallDisk(4096)
const howTo = howToGetOne(disk)

async function offsetsIn(log: Log): Promise<number[]> {
  const offsets: number[] = []
  for await (const { offset, value } of log.read()) {
    expect(value!.every((byte) => byte === offset % 256)).toBe(true)
    offsets.push(offset)
  }
  return offsets
}

test.skipIf(disk === null)(
  `a full disk ends the log for writes until there is room again${howTo}`,
  async () => {
    const ballast = join(disk!, 'ballast')
    writeFileSync(ballast, Buffer.alloc(MIB))
    const dir = join(disk!, 'log')
    const log = await openLog(dir)
    const acknowledged: number[] = []
    const full = {
      code: 'VARVE_LOG_FAILED',
      message: expect.stringContaining(`could not write ${dir}`),
      cause: { code: 'ENOSPC' },
    }
    for (let n = 0; ; n++) {
      const error = await log.append([{ value: Buffer.alloc(MIB / 4, n) }]).then(
        ({ baseOffset }) => void acknowledged.push(baseOffset),
        (reason: unknown) => reason,
      )
      if (error === undefined) continue
      expect(error).toMatchObject(full)
      break
    }
    expect(acknowledged.length).toBeGreaterThan(5)
    expect(log.state).toBe('failed')
    await expect(log.append([{ value: 'more' }])).rejects.toMatchObject(full)
    expect(await offsetsIn(log)).toEqual(acknowledged)
    await expect(log.close()).rejects.toMatchObject({ code: 'VARVE_LOG_FAILED' })

    rmSync(ballast)
    const again = await openLog(dir)
    expect(again.recovered!.cutBytes).toBeGreaterThan(0)
    expect(await offsetsIn(again)).toEqual(acknowledged)
    const { baseOffset } = await again.append([{ value: Buffer.alloc(1000, acknowledged.length) }])
    expect(baseOffset).toBe(acknowledged.length)
    expect(await offsetsIn(again)).toEqual([...acknowledged, baseOffset])
    await again.close()
  },
)
