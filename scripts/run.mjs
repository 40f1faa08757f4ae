#!/usr/bin/env node
/** `npm start`, `build`, `test`, `prove`, `simulate`, `check`, `bench`, `bench:kafka`, `bench:cluster` and `npm run pack`. Each builds what is missing first; none needs anything but Node, npm and Rust. */
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { bootstrap } from './bootstrap.mjs'
import { Failure } from './failure.mjs'
import { root } from './paths.mjs'

const [command, ...args] = process.argv.slice(2)

const commands = {
  async start() {
    await bootstrap()
    const bin = join(root, 'packages', 'varve', 'bin', 'varve.mjs')
    process.argv = [process.argv[0], bin, 'serve', ...args]
    await import(pathToFileURL(bin).href)
  },
  async build() {
    await bootstrap()
    process.stderr.write('Everything is built.\n')
  },
  async test() {
    await bootstrap()
    const { test } = await import('./test.mjs')
    process.exitCode = await test(args)
  },
  async prove() {
    await bootstrap()
    const { prove } = await import('./prove.mjs')
    process.exitCode = await prove(args)
  },
  async simulate() {
    // The simulator runs from the sources of the rules.
    await bootstrap({ only: 'dependencies' })
    const { simulateCommand } = await import('./simulate.mjs')
    process.exitCode = await simulateCommand(args)
  },
  async check() {
    // Not the rest: what does not compile is one of the things that a check reports.
    await bootstrap({ only: 'dependencies' })
    const { check } = await import('./check.mjs')
    process.exitCode = await check()
  },
  async bench() {
    const { bench } = await import('./bench.mjs')
    const measure = bench(args)
    if (measure === null) return
    await bootstrap()
    process.exitCode = await measure()
  },
  async 'bench:kafka'() {
    await bootstrap()
    const { benchKafka } = await import('./bench-kafka.mjs')
    process.exitCode = await benchKafka(args)
  },
  async 'bench:cluster'() {
    const { benchCluster } = await import('./bench-cluster.mjs')
    const measure = benchCluster(args)
    if (measure === null) return
    await bootstrap()
    process.exitCode = await measure()
  },
  async pack() {
    await bootstrap()
    const { pack } = await import('./packing.mjs')
    await pack(args)
  },
}

try {
  if (!Object.hasOwn(commands, command ?? '')) {
    throw new Failure(`usage: node scripts/run.mjs ${Object.keys(commands).join('|')}`, { exitCode: 2 })
  }
  await commands[command]()
} catch (error) {
  if (!(error instanceof Failure)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = error.exitCode
}
