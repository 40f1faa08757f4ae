/**
 * Options are an interface: a rename or a changed default breaks scripts that nobody of us sees.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import { program } from '../src/cli/main.js'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string
}
const varve = (...args: string[]) => spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' })

/** The options with which a command line would run its command. */
function optionsOf(...args: string[]): unknown {
  const all = program()
  const command = all.commands.find((each) => each.name() === args[0])!
  let options: unknown
  command.action(() => {
    options = command.opts()
  })
  all.parse(args, { from: 'user' })
  return options
}

test('serve', () => {
  expect(optionsOf('serve')).toEqual({
    port: 9092,
    host: '127.0.0.1',
    data: ['./varve-data'],
    partitions: 1,
    autoCreate: true,
    lowDiskBytes: 67_108_864,
    logFormat: 'plain',
    adminHost: '127.0.0.1',
  })
  const args = [
    '--port',
    '0',
    '--host',
    '::1',
    '--data',
    'd',
    '--durability',
    'os',
    '--node-id',
    '7',
    '--partitions',
    '3',
    '--no-auto-create',
    '--config',
    'log.retention.hours=24',
    '-c',
    'advertised=a=b',
  ]
  expect(optionsOf('serve', ...args)).toEqual({
    port: 0,
    host: '::1',
    data: ['d'],
    durability: 'os',
    nodeId: 7,
    partitions: 3,
    autoCreate: false,
    lowDiskBytes: 67_108_864,
    logFormat: 'plain',
    adminHost: '127.0.0.1',
    config: { 'log.retention.hours': '24', advertised: 'a=b' },
  })
})

test('produce', () => {
  expect(optionsOf('produce', 't')).toEqual({
    broker: ['localhost:9092'],
    acks: -1,
    compression: 'none',
    linger: 5,
    batchSize: 65_536,
  })
  const args = [
    '-b',
    'a:1,b:2',
    '-f',
    'x',
    '-k',
    ':',
    '-P',
    '2',
    '--acks',
    '1',
    '-z',
    'lz4',
    '--linger',
    '0',
    '--batch-size',
    '1000',
    '-q',
  ]
  expect(optionsOf('produce', 't', ...args)).toEqual({
    broker: ['a:1', 'b:2'],
    file: 'x',
    keySeparator: Buffer.from(':'),
    partition: 2,
    acks: 1,
    compression: 'lz4',
    linger: 0,
    batchSize: 1000,
    quiet: true,
  })
})

test('inspect', () => {
  expect(optionsOf('inspect', 'd')).toEqual({})
  expect(optionsOf('inspect', 'd', '--repair', '--json', '-q')).toEqual({
    repair: true,
    json: true,
    quiet: true,
  })
  expect(program().helpInformation()).toMatch(/\n {2}log .*\n[^]*\n {2}inspect /)
})

test('consume', () => {
  expect(optionsOf('consume', 't')).toEqual({
    broker: ['localhost:9092'],
    from: { at: 'earliest' },
  })
  expect(optionsOf('consume', 't', '--from', '5', '-f', '-P', '1', '-n', '9', '-k', '\\t')).toMatchObject({
    from: { at: 'offset', offset: 5 },
    follow: true,
    partition: 1,
    max: 9,
    keySeparator: Buffer.from('\t'),
  })
})

test('parts of records are named with commas or one by one, and leave the topic alone', () => {
  const withKey = { with: ['key', 'offset'] }
  expect(optionsOf('consume', '--with', 'key, offset', 't')).toMatchObject(withKey)
  expect(optionsOf('consume', '--with', 'key', '--with', 'offset', 't')).toMatchObject(withKey)
})

test.for([
  { args: ['consume', 't', '--with', 'key,colour'], says: 'Allowed choices are timestamp, partition' },
  { args: ['serve', '--listeners', 'PLAINTEXT://:1', '--port', '1'], says: '--listeners' },
  { args: ['serve', '--durability', 'maybe'], says: 'Allowed choices are fsync, os' },
  { args: ['produce'], says: "missing required argument 'topic'" },
  { args: ['produce', 'a', 'b'], says: 'too many arguments' },
  { args: ['consume', 'a', '--max', '0'], says: 'from 1 on' },
  { args: ['consumer'], says: 'Did you mean consume?' },
])('$args is refused', ({ args, says }) => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    expect(() => program().parse(args, { from: 'user' })).toThrow(says)
  } finally {
    write.mockRestore()
  }
})

test('--version and --help are answers, not errors', () => {
  expect(varve('--version')).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' })
  const help = varve('--help')
  expect(help).toMatchObject({ status: 0, stderr: '' })
  for (const command of ['serve', 'produce', 'consume', 'topic', 'Examples:'])
    expect(help.stdout).toContain(command)
  for (const command of ['serve', 'produce', 'consume', 'topic'])
    expect(varve(command, '--help').stdout).toContain('Examples:')
})

test('a command is the same whether the others are declared or not', () => {
  const all = program().commands
  for (const declared of all) {
    const [alone, ...others] = program(declared.name()).commands
    expect(others).toEqual([])
    expect(alone!.helpInformation()).toBe(declared.helpInformation())
  }
  for (const none of ['help', 'nonsense', 'constructor', '--help'])
    expect(program(none).commands).toHaveLength(all.length)
})

test('help shows defaults as they are typed', () => {
  const help = (command: string): string =>
    program()
      .commands.find((each) => each.name() === command)!
      .helpInformation()
      .replaceAll(/\s+/g, ' ')
  expect(help('consume')).toContain('(default: earliest)')
  expect(help('serve')).toContain('default: "127.0.0.1")')
})

test.for([
  { args: ['--help'], closed: 'stdout' },
  { args: ['nonsense'], closed: 'stderr' },
] as const)('$args says nothing about a closed $closed', async ({ args, closed }) => {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill())
  // Node takes longer to start than this end takes to close.
  child[closed].destroy()
  const other = text(closed === 'stdout' ? child.stderr : child.stdout)
  expect(await once(child, 'exit')).toEqual([closed === 'stdout' ? 0 : 2, null])
  expect(await other).toBe('')
})
