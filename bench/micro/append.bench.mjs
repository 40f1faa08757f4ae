/**
 * Appends per second to a log, beside Node's own `fs` writing the same bytes to a plain file: without offsets,
 * checksums, indexes or recovery. A round is a number of appends in flight at once, awaited together.
 */
import { promises as fs } from 'node:fs'
import { join } from 'node:path'
import { openLog } from '@varve/log'
import { Bench } from 'tinybench'
import { ratio, table, write } from '../report.mjs'
import { withTemporaryDirectory } from '../temporary-directory.mjs'

const CASES = [
  { bytes: 1024, inFlight: 1 },
  { bytes: 1024, inFlight: 64 },
  { bytes: 1024, inFlight: 1024 },
  { bytes: 65536, inFlight: 1 },
  { bytes: 65536, inFlight: 64 },
]
const MILLISECONDS = Number(process.env.VARVE_BENCH_MS ?? 500)

/** Rounds per second of `round`, measured by tinybench. */
async function measure(name, round) {
  const bench = new Bench({ time: MILLISECONDS, warmupTime: MILLISECONDS / 5, throws: true })
  bench.add(name, round)
  const [task] = await bench.run()
  return task.result.throughput.mean
}

const together = (count, one) => Promise.all(Array.from({ length: count }, one))

async function measureLog(dir, durability, { bytes, inFlight }) {
  const log = await openLog(join(dir, 'log'), { durability })
  const record = [{ value: Buffer.alloc(bytes, 'v') }]
  const rounds = await measure('varve', () => together(inFlight, () => log.append(record)))
  await log.close()
  return rounds * inFlight
}

/** A file, and a way to write the next `bytes` of it. */
async function openFile(dir, bytes) {
  const file = await fs.open(join(dir, 'file'), 'w')
  const buffer = Buffer.alloc(bytes, 'v')
  let position = 0
  const append = () => {
    const at = position
    position += bytes
    return file.write(buffer, 0, bytes, at)
  }
  return { file, append }
}

const peers = {
  os: {
    async 'fs.write each'(dir, { bytes, inFlight }) {
      const { file, append } = await openFile(dir, bytes)
      const rounds = await measure('fs', () => together(inFlight, append))
      await file.close()
      return rounds * inFlight
    },
  },
  fsync: {
    async 'fs.write + fdatasync each'(dir, { bytes, inFlight }) {
      const { file, append } = await openFile(dir, bytes)
      const durable = () => append().then(() => file.datasync())
      const rounds = await measure('fs', () => together(inFlight, durable))
      await file.close()
      return rounds * inFlight
    },
    async 'fs.write each, one fdatasync'(dir, { bytes, inFlight }) {
      const { file, append } = await openFile(dir, bytes)
      const rounds = await measure('fs', () => together(inFlight, append).then(() => file.datasync()))
      await file.close()
      return rounds * inFlight
    },
  },
}

const perSecond = (value) => (value >= 10_000 ? `${Math.round(value / 1000)} k` : value.toFixed(0))
const megabytes = (value, bytes) => `${((value * bytes) / 1e6).toFixed(0)} MB/s`

const results = []
for (const durability of ['os', 'fsync']) {
  for (const size of CASES) {
    const varve = await withTemporaryDirectory((dir) => measureLog(dir, durability, size))
    for (const [peer, run] of Object.entries(peers[durability])) {
      const fsResult = await withTemporaryDirectory((dir) => run(dir, size))
      results.push({ durability, ...size, varve, peer, peerPerSecond: fsResult })
    }
  }
}

const rows = results.map(({ durability, bytes, inFlight, varve, peer, peerPerSecond }) => [
  `'${durability}'`,
  bytes === 1024 ? '1 KB' : '64 KB',
  String(inFlight),
  `${perSecond(varve)}/s`,
  megabytes(varve, bytes),
  peer,
  `${perSecond(peerPerSecond)}/s`,
  ratio(varve, peerPerSecond),
])
const header = ['durability', 'record', 'in flight', 'varve', '', 'beside', '', 'ratio']
await write('append', 'Appends to a log beside plain files', table(header, rows), results)
