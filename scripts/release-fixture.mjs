#!/usr/bin/env node
/**
 * Writes test/fixtures/releases/<version>: directories with every kind of file that this version writes, and content.json
 * with what is in them. Each release adds its own once, and no later version may change it: see CONTRIBUTING.md.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openDataDirectory } from '@varve/log'
import { encodeBatch, encodeEndTransactionMarker } from '@varve/records'
import { contentOf } from './log-content.mjs'
import { root } from './paths.mjs'

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const folder = join(root, 'test', 'fixtures', 'releases', version)
const TIME = 1_700_000_000_000
const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

const recordsOf = (n) =>
  Array.from({ length: 1 + (n % 3) }, (_, k) => ({
    key: k === 1 ? null : `key ${n % 5}`,
    value: k === 2 ? null : `value ${n}.${k} ${'x'.repeat((n * 31) % 60)}`,
    headers: k === 0 ? { n: String(n) } : {},
    timestamp: TIME + n * 1000 + k,
  }))

async function append(log, from, to) {
  for (let n = from; n < to; n++) {
    await log.appendBatches([encodeBatch(recordsOf(n), { compression: codecs[n % codecs.length] })])[0]
  }
}

/** Writes batches of two records, numbered as that producer's. */
function producer(log, producerId) {
  let baseSequence = 0
  return async (n, transactional) => {
    const fields = { producerId, producerEpoch: 1, baseSequence, transactional }
    baseSequence += 2
    const records = [{ value: `first ${n}` }, { value: `second ${n}` }].map((one) => ({
      ...one,
      timestamp: TIME + n,
    }))
    await log.appendBatches([encodeBatch(records, { producer: fields })])[0]
  }
}

/** Ends that producer's transactions. */
function ending(log, producerId) {
  return async (n, type) => {
    const marker = { type, producerId, producerEpoch: 1, timestamp: TIME + n }
    await log.appendBatches([encodeEndTransactionMarker(marker)])[0]
  }
}

const options = { segmentBytes: 1500, indexIntervalBytes: 400 }

/** What each log is for, and how it comes about. */
const logs = {
  /** Rolled segments with indexes, in every codec. */
  async 'rolled-0'(log) {
    await append(log, 0, 30)
  },
  /** Several leader epochs. */
  async 'epochs-0'(log) {
    for (const epoch of [0, 2, 5]) {
      log.setLeaderEpoch(epoch)
      await append(log, epoch * 10, epoch * 10 + 4)
    }
  },
  /** A start within a segment, and one within the log. */
  async 'deleted-0'(log) {
    await append(log, 0, 30)
    await log.deleteBefore(33)
  },
  async 'truncated-0'(log) {
    await append(log, 0, 30)
    await log.truncateTo(20)
    await append(log, 100, 103)
  },
  /** With tombstones, in segments that a compaction wrote. */
  async 'compacted-0'(log) {
    const write = async (from, to) => {
      for (let n = from; n < to; n++) {
        const key = `key ${n % 7}`
        await log.append([
          { key, value: n % 5 === 0 ? null : `value ${n} ${'x'.repeat(90)}`, timestamp: TIME + n },
        ])
      }
    }
    await write(0, 40)
    await log.compact()
    await write(40, 45)
  },
  /** Of a producer that numbers its batches, and of a transaction. */
  async 'producers-0'(log) {
    const write = producer(log, 7)
    for (let n = 0; n < 6; n++) await write(n, n > 3)
  },
  /** Over several segments: transactions that were committed, aborted within a segment, across a roll, and left open. */
  async 'transactions-0'(log) {
    const [write, end] = [producer(log, 8), ending(log, 8)]
    const [writeAside, endAside] = [producer(log, 9), ending(log, 9)]
    const writeOpen = producer(log, 10)
    for (let n = 0; n < 30; n++) {
      await write(n, true)
      if (n % 5 === 2) await writeAside(n, true)
      if (n % 3 === 1) await end(n, n % 2 === 0 ? 'commit' : 'abort')
      if (n % 10 === 9) await endAside(n, 'abort')
    }
    await end(30, 'commit')
    await writeOpen(31, true)
    await append(log, 0, 2)
  },
  async 'empty-0'() {},
}

/** Fills a data directory; unless it is to be closed, its process ends in the middle. */
async function fill(dir, isClosed) {
  const directory = await openDataDirectory(dir, { clusterId: 'varve-release', nodeId: 7 })
  const content = {}
  for (const [name, make] of Object.entries(logs)) {
    const cleanupPolicy = name.startsWith('compacted') ? 'compact' : 'delete'
    const log = await directory.openLog(name, { ...options, cleanupPolicy, compactionCheckMs: Infinity })
    await make(log)
    content[name] = await contentOf(log)
  }
  writeFileSync(`${dir}.json`, `${JSON.stringify(content)}\n`)
  if (!isClosed) process.exit()
  await directory.close()
}

const [how, dir] = process.argv.slice(2)
if (how === 'stopped') await fill(dir, false)
else {
  if (existsSync(folder) && how !== '--again') {
    console.error(
      `${folder} is there. Before ${version} is released, --again writes it anew; after that nothing may.`,
    )
    process.exit(2)
  }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await fill(join(folder, 'closed'), true)
  const stopped = [fileURLToPath(import.meta.url), 'stopped', join(folder, 'stopped')]
  const { status } = spawnSync(process.execPath, stopped, { stdio: 'inherit' })
  console.log(`wrote ${folder}`)
  process.exitCode = status
}
