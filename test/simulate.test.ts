/**
 * A simulator that finds a bug and tells of it so that nobody can follow, or that passes whatever breaks, has found nothing. These
 * tests let `npm run simulate` find a bug that they put into the rules.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { loadSimulation } from '../scripts/simulation.mjs'
import { root } from './support/tree.js'

/** Whoever asks for all replicas is answered once the leader has it. */
const tooEarly = {
  file: 'partition/leader.ts',
  replace: 'if (this.#highWatermark < endOffset) {',
  by: 'if (this.#log.durableOffset < endOffset) {',
}

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function command(args: string, mutation?: typeof tooEarly, isTTY = false): Promise<Outcome> {
  const { simulateCommand } = await import(pathToFileURL(join(root, 'scripts', 'simulate.mjs')).href)
  const stdout = Object.assign(new PassThrough(), { isTTY })
  const stderr = new PassThrough()
  const code = await simulateCommand(args.split(' '), { mutation, stdout, stderr })
  stdout.end()
  stderr.end()
  return { code, stdout: await text(stdout), stderr: await text(stderr) }
}

test('a run is told from what the seed drew to how it ended, and the same each time', async () => {
  const first = await command('--seed 17')
  expect(first.code).toBe(0)
  const [drawn, events, verdict] = first.stdout.split('\n\n')
  expect(drawn).toMatch(/^Seed 17\n {2}brokers {5}\d in \d rack/)
  expect(events).toMatch(/^ +\d+\.\d{3} {2}broker \d +orders-0 +leads in epoch 0/m)
  expect(events).not.toMatch(/\/partitions\/|\bid-\d/)
  expect(verdict).toMatch(/^Everything held/)
  expect(verdict).toMatch(/recovery {4}\d/)
  expect(await command('--seed 17')).toEqual(first)
})

test('what is not asked for is left out', async () => {
  const linesOf = async (args: string): Promise<string[]> =>
    (await command(args)).stdout
      .split('\n\n')[1]!
      .split('\n')
      .filter((line) => !line.startsWith('('))
  const kinds = await linesOf('--seed 17 --only faults,controller')
  expect(kinds.length).toBeGreaterThan(5)
  for (const line of kinds) expect(line).toMatch(/^ +\d+\.\d{3} {2}(?:faults|broker \d)/)
  const partition = await linesOf('--seed 17 --partition orders-0 --only log')
  expect(partition.length).toBeGreaterThan(5)
  for (const line of partition) expect(line).toContain('orders-0')
  const broker = await linesOf('--seed 17 --broker 2')
  expect(broker.length).toBeGreaterThan(5)
  for (const line of broker) expect(line).toContain('broker 2')
  expect(await linesOf('--seed 17 --broker 2 --last 7')).toHaveLength(7)
})

test('there are colours on a terminal, unless NO_COLOR is set', async () => {
  const coloured = async (isTTY: boolean): Promise<boolean> =>
    (await command('--seed 17 --last 3', undefined, isTTY)).stdout.includes('\u001B[')
  const before = process.env['NO_COLOR']
  try {
    delete process.env['NO_COLOR']
    expect(await coloured(true)).toBe(true)
    expect(await coloured(false)).toBe(false)
    process.env['NO_COLOR'] = '1'
    expect(await coloured(true)).toBe(false)
  } finally {
    if (before === undefined) delete process.env['NO_COLOR']
    else process.env['NO_COLOR'] = before
  }
})

test('to keep the timeline changes nothing of a run', async () => {
  const { simulate } = await loadSimulation()
  for (const seed of [3, 17]) {
    const { timeline, ...recorded } = simulate(seed, { record: true })
    expect(timeline.length).toBeGreaterThan(100)
    expect(simulate(seed)).toEqual({ ...recorded, timeline: [] })
  }
})

test('many runs are counted, over threads as by themselves', { timeout: 120_000 }, async () => {
  const { simulate } = await loadSimulation()
  const { code, stdout, stderr } = await command('--seeds 100..111 --json')
  const summary = JSON.parse(stdout)
  expect(code).toBe(0)
  expect(stderr).toContain('Simulating 12 seeds')
  expect(summary).toMatchObject({ first: 100, last: 111, seeds: 12, violations: [], isInterrupted: false })
  const results = Array.from({ length: 12 }, (_, index) => simulate(100 + index))
  for (const key of ['events', 'acknowledged', 'committed'] as const)
    expect(summary[key]).toBe(results.reduce((sum, result) => sum + result[key], 0))
  expect(summary.faults.crash).toBe(results.reduce((sum, { faults }) => sum + (faults.crash ?? 0), 0))
})

test('what breaks is told with its seed and command, and makes the command fail', async () => {
  const { code, stdout } = await command('--seeds 30 --stop-after 1', tooEarly)
  expect(code).toBe(1)
  expect(stdout).toMatch(/^\d+ violations?$/m)
  expect(stdout).toMatch(/^ {2}npm run simulate -- --seed \d+\n {4}[\w ]+: \w+-\d: /m)
  expect(stdout).toMatch(/^npm run simulate -- --seed \d+ --without .* breaks the same:$/m)
  expect(Number(/^(\d+) seeds$/m.exec(stdout)![1])).toBeLessThan(30)
})

test('Ctrl-C ends many runs with what they came to so far', { timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, ['scripts/run.mjs', 'simulate', '--seeds', '1000000'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stdout = text(child.stdout)
  child.stderr.once('data', () => child.kill('SIGINT'))
  const [code] = await once(child, 'exit')
  expect(code).toBe(130)
  expect(await stdout).toMatch(/^\d+ seeds\n {2}time/)
})

test('a seed that fails is shortened, and what is left breaks the same', { timeout: 120_000 }, async () => {
  const { simulate, shorten, changesOf, commandOf } = await loadSimulation(tooEarly)
  const found = [0, 1, 2, 3, 4, 5].map((seed) => simulate(seed)).filter(({ violation }) => violation !== null)
  expect(found.length).toBeGreaterThan(2)
  for (const { seed, scenario, violation } of found) {
    const { changes } = shorten(seed)!
    const left = simulate(seed, { scenario: changesOf(seed, changes) })
    expect(left.violation!.invariant).toBe(violation!.invariant)
    expect(left.scenario.faults.length + left.scenario.operations.length).toBeLessThan(
      scenario.faults.length + scenario.operations.length,
    )
    // The command that is printed runs just that.
    const args = commandOf(seed, changes).replace('npm run simulate -- ', '')
    const { code, stdout } = await command(args, tooEarly)
    expect(code).toBe(1)
    expect(stdout).toContain(left.violation!.message)
  }
  const fine = await loadSimulation()
  expect(fine.shorten(found[0]!.seed)).toBeNull()
})

test.each([
  ['--seed x', "--seed takes a whole number from 0 on, not 'x'"],
  ['--seed 1 --seeds 2', 'one of --seed and --seeds'],
  ['--seeds 9..3', '--seeds 9..3 are none'],
  ['--seeds 3 --last 2', '--last goes with --seed'],
  [
    '--seed 3 --without earthquake',
    "--without does not know 'earthquake'; there are: faults, operations, crash",
  ],
  ['--seed 3 --only crashes', "--only does not know 'crashes'; there are: faults"],
])('%s is refused with a sentence', async (args, message) => {
  await expect(command(args)).rejects.toThrow(message)
})
