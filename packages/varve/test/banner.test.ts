/**
 * The two lines of the banner are pasted, not read. A line that leaves out the port, or calls a command that is not there,
 * sends the newcomer to the issue tracker; a colour code in a log file sends everybody else there.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { banner, tryItOut } from '../src/cli/banner.js'
import { invocation } from '../src/cli/invocation.js'

const directory = mkdtempSync(join(tmpdir(), 'varve-banner-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const facts = {
  version: '1.2.3',
  address: '127.0.0.1:9192',
  dataDirectories: ['/data'],
  durability: 'fsync',
  problems: [],
  invocation: { command: 'npx varve', directory: null },
  colour: false,
} as const

test('the default port needs no option, every other address does', () => {
  expect(tryItOut('127.0.0.1:9092', 'varve')).toEqual([
    'echo hello | varve produce demo',
    'varve consume demo',
  ])
  expect(tryItOut('127.0.0.1:9192', 'varve')[1]).toBe('varve consume demo --broker 127.0.0.1:9192')
  expect(tryItOut('kafka.example:9092', 'varve')[1]).toBe('varve consume demo --broker kafka.example:9092')
})

test('says what is served, from where and how safely', () => {
  expect(banner(facts)).toBe(
    [
      "varve 1.2.3 is serving Kafka's protocol",
      '',
      '  address     127.0.0.1:9192',
      '  data        /data',
      '  durability  fsync: what is acknowledged is on disk',
      '',
      'Try it from another shell:',
      '  echo hello | npx varve produce demo --broker 127.0.0.1:9192',
      '  npx varve consume demo --broker 127.0.0.1:9192',
      '',
      'Ctrl-C stops it.',
      '',
    ].join('\n'),
  )
})

test('names the admin port, and the flag without which nobody speaks to a TLS listener', () => {
  const text = banner({ ...facts, tls: true, admin: { host: '127.0.0.1', port: 9644 } })
  expect(text).toContain('\n  admin       http://127.0.0.1:9644/metrics and /healthz\n')
  expect(text).toContain('\n  npx varve consume demo --broker 127.0.0.1:9192 --tls\n')
})

test('names partitions that have a problem', () => {
  expect(banner({ ...facts, problems: ['orders-3 is read-only'] })).toContain(
    '\n  problem     orders-3 is read-only\n',
  )
})

test('colours are for terminals', () => {
  expect(banner(facts)).not.toContain('\x1b')
  expect(banner({ ...facts, colour: true })).toContain('\x1b[1m127.0.0.1:9192\x1b[22m')
})

test('in a tree that has varve installed, npx finds it, from a folder below as well', () => {
  const project = join(directory, 'project')
  mkdirSync(join(project, 'node_modules', '.bin'), { recursive: true })
  mkdirSync(join(project, 'src'))
  writeFileSync(join(project, 'package.json'), '{}')
  writeFileSync(join(project, 'node_modules', '.bin', 'varve'), '')
  const script = join(project, 'node_modules', 'varve', 'bin', 'varve.mjs')
  expect(invocation({ script, cwd: project, path: '' })).toEqual({ command: 'npx varve', directory: project })
  const below = join(project, 'src')
  expect(invocation({ script, cwd: below, path: '' })).toEqual({ command: 'npx varve', directory: below })
})

test('elsewhere it is the installed command, npx that fetched it, or Node with the full path', () => {
  const script = join(directory, 'bin', 'varve')
  const cwd = directory
  expect(invocation({ script, cwd, path: `/bin:${join(directory, 'bin')}` })).toEqual({
    command: 'varve',
    directory: null,
  })
  expect(invocation({ script: '/x/_npx/1/node_modules/.bin/varve', cwd, path: '/bin' }).command).toBe(
    'npx varve',
  )
  expect(invocation({ script: '/opt/varve/bin/varve.mjs', cwd, path: '/bin' }).command).toBe(
    'node /opt/varve/bin/varve.mjs',
  )
  expect(invocation({ script: "/it's here/varve.mjs", cwd, path: '/bin' }).command).toBe(
    `node '/it'\\''s here/varve.mjs'`,
  )
})
