/** Opening what a process closed, and what a process left that was killed. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { timed } from '../harness/clock.mjs'
import { fill } from '../harness/filling.mjs'
import { assertCount } from '../harness/read-back.mjs'
import * as show from '../report/figures.mjs'
import { comparison } from '../report/table.mjs'
import { load, stores } from '../subjects/index.mjs'

export const name = 'open'
export const title = 'Opening'

const VALUE_BYTES = 1024
const GROUP = 100
const SMALL = 64 << 20
/** Within one segment, all of which has to be looked at when its recovery point is its start. */
const LARGE = 512 << 20

export function cells({ full }) {
  const sizes = [
    { bytes: SMALL, subjects: ['varve', ...stores] },
    { bytes: LARGE, subjects: ['varve', ...(full ? stores : [])] },
  ]
  return sizes.flatMap(({ bytes, subjects }) => {
    const data = { bytes: VALUE_BYTES, count: bytes / VALUE_BYTES, group: GROUP }
    return [
      { id: `closed, ${show.bytes(bytes)}`, subjects, parameters: { size: bytes, data } },
      { id: `killed, ${show.bytes(bytes)}`, subjects, parameters: { size: bytes, killed: data } },
    ]
  })
}

export const prepare = (subject, { data }, { dir }) => fill(subject, data, dir)

export async function measure(subject, { size, data, killed }, { dir }) {
  const { count } = data ?? killed
  if (killed !== undefined) leaveBehind(subject, killed, dir)
  const { open } = await load(subject)
  const reopen = () => open(dir, { durable: false, valueBytes: VALUE_BYTES })
  const { result: store, seconds, cpuSeconds } = await timed(reopen)
  await store.close()
  await assertCount(reopen, count)
  return {
    milliseconds: seconds * 1000,
    cpuMilliseconds: cpuSeconds * 1000,
    gigabytesPerSecond: size / seconds / 1e9,
  }
}

/** Fills a store in a process that is killed once everything is acknowledged. */
function leaveBehind(subject, data, dir) {
  const main = join(import.meta.dirname, '..', 'harness', 'filling-main.mjs')
  const { signal, stderr } = spawnSync(process.execPath, [main, subject, JSON.stringify(data), dir])
  if (signal !== 'SIGKILL') throw new Error(`the process that was to be killed ended by itself: ${stderr}`)
}

const rate = ({ gigabytesPerSecond }) => `${gigabytesPerSecond.toFixed(2)} GB/s`

export function tables(measured) {
  const recovered = measured.filter(({ parameters, subjects }) => parameters.killed && subjects.varve?.median)
  return [
    comparison({
      name: 'open',
      title: 'Opening a store of 1 KB records',
      text: 'In a new process, with the files in the page cache; loading the module is not counted. Closed: the process before closed it. Killed: that process ended with `kill -9`, everything acknowledged to the page cache. varve then looks at every batch behind its recovery point, here all of them, and writes what it keeps again, because a kernel that lost a write calls its page clean; LevelDB and SQLite replay logs of a few MB, LMDB has nothing to do. None of them asks whether the pages reached the disk.',
      cells: measured,
      figure: ({ milliseconds }) => milliseconds,
      show: show.milliseconds,
      lessIsBetter: true,
    }),
    {
      name: 'recovery',
      title: 'Recovery after a kill',
      text: 'Bytes looked at, written again and flushed, over the whole time of opening.',
      header: ['', 'recovery'],
      rows: recovered.map(({ parameters, subjects: { varve } }) => [
        show.bytes(parameters.size),
        rate(varve.median),
      ]),
      chart: {
        groups: [
          {
            title: 'after kill -9',
            bars: recovered.map(({ parameters, subjects: { varve } }) => ({
              title: show.bytes(parameters.size),
              value: varve.median.gigabytesPerSecond,
              text: rate(varve.median),
              isOurs: true,
            })),
          },
        ],
      },
    },
  ]
}
