/**
 * In the work tree everything finds everything. What is published is less: a file that package.json's "files" leaves out,
 * the engine, which comes in a package of its own for each platform, types that only this tree's compiler settings
 * accept, or a dependency that only the root declares, is missed by nobody until somebody else installs the package.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test, type TestContext } from 'vitest'
import { packPackages } from '../../scripts/packing.mjs'
import { BrokerProcess } from '../support/broker-process.js'
import { mustRun, runChild } from '../support/children.js'
import { nodes } from '../support/nodes.js'
import { root, temporaryDirectory } from '../support/tree.js'

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/

const home = temporaryDirectory()
const project = join(home, 'project')
let tarballs: string[] = []
let unreachable = false

beforeAll(async () => {
  const packed = join(home, 'tarballs')
  mkdirSync(packed)
  mkdirSync(project)
  tarballs = await packPackages(packed)
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0']
  const installed = await runChild(npm, ['install', ...flags, ...tarballs], { cwd: project })
  // What others publish comes from npm's cache or the network; without either there is nothing to learn here.
  unreachable = UNREACHABLE.test(installed.stderr)
  if (!unreachable) expect(installed).toMatchObject({ code: 0 })
}, 300_000)

function needsInstallation(context: TestContext): void {
  if (unreachable) context.skip('the registry cannot be reached; run this with a network')
}

const esm = `
import { startBroker } from '@varve/broker'
import { openLog } from '@varve/log'
import { Producer, startBroker as again } from 'varve'

const log = await openLog(process.argv[2])
const { lastOffset } = await log.append([{ value: 'a' }, { value: 'b' }])
await log.close()
const broker = await startBroker()
const producer = new Producer({ brokers: [broker.address], compression: 'lz4' })
const { offset } = await producer.send('t', { value: 'c' })
await producer.close()
await broker.close()
console.log(JSON.stringify({ lastOffset, offset, same: again === startBroker }))
`

const commonJs = `
const { openLog } = require('@varve/log')
const { encodeBatch } = require('@varve/records')

async function main() {
  const log = await openLog(process.argv[2])
  const [appending] = log.appendBatches([encodeBatch([{ value: 'a' }, { value: 'b' }], { compression: 'snappy' })])
  const { lastOffset } = await appending
  const values = []
  for await (const { value } of log.read()) values.push(String(value))
  await log.close()
  console.log(JSON.stringify({ lastOffset, values }))
}
main()
`

/** What a user of TypeScript relies on: options and results have types, and a wrong one is refused. */
const typeScript = `
import { openLog, VarveError, type AppendResult, type Log, type LogRecord, type RecordInput } from '@varve/log'
import { encodeBatch, type Compression } from '@varve/records'
import { Consumer, Producer } from '@varve/client'
import { startBroker } from '@varve/broker'

const compression: Compression = 'gzip'
const records: RecordInput[] = [{ key: 'k', value: new Uint8Array([1]), headers: { a: 'b' } }]
const log: Log = await openLog(process.argv[2] ?? '', { durability: 'os' })
const { baseOffset }: AppendResult = await log.append(records)
const found: LogRecord[] = []
for await (const record of log.read({ from: baseOffset })) found.push(record)
const batch: Buffer = encodeBatch(records, { compression })
await log.close()
// @ts-expect-error there is no such policy
const refused = await openLog('x', { durability: 'sometimes' }).catch((error: unknown) => error)
const clients: unknown[] = [Producer, Consumer, startBroker]
const code = VarveError.is(refused) ? refused.code : null
console.log(JSON.stringify({ offset: found[0]?.offset, code, clients: clients.length, bytes: batch.length > 61 }))
`

const compilerOptions = {
  target: 'ES2022',
  module: 'NodeNext',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  // Our declarations are part of what is checked.
  skipLibCheck: false,
  types: ['node'],
  typeRoots: [join(root, 'node_modules', '@types')],
}

async function compile(): Promise<void> {
  writeFileSync(join(project, 'script.ts'), typeScript)
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['script.ts'] }))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await mustRun(process.execPath, [tsc, '-p', '.'], { cwd: project })
}

describe.each(nodes)('$name', ({ node, version, missing }) => {
  async function run(context: TestContext, script: string, text?: string): Promise<unknown> {
    needsInstallation(context)
    if (missing !== null) context.skip(missing)
    if (text !== undefined) writeFileSync(join(project, script), text)
    const { stdout } = await mustRun(node, [script, join(temporaryDirectory(), 'log')], { cwd: project })
    return JSON.parse(stdout.toString())
  }

  test('is the line of Node that it is taken for', async (context) => {
    if (missing !== null) context.skip(missing)
    expect((await mustRun(node, ['--version'])).stdout.toString()).toContain(version)
  })

  test('an ES module imports the packages', async (context) => {
    expect(await run(context, 'script.mjs', esm)).toEqual({ lastOffset: 1, offset: 0, same: true })
  })

  test('a CommonJS script requires them', async (context) => {
    expect(await run(context, 'script.cjs', commonJs)).toEqual({ lastOffset: 1, values: ['a', 'b'] })
  })

  test('strict TypeScript compiles against them and runs', { timeout: 120_000 }, async (context) => {
    needsInstallation(context)
    if (!existsSync(join(project, 'script.js'))) await compile()
    expect(await run(context, 'script.js')).toEqual({
      offset: 0,
      code: 'VARVE_INVALID_OPTION',
      clients: 3,
      bytes: true,
    })
  })

  test('the command line serves, and its clients reach it', { timeout: 120_000 }, async (context) => {
    needsInstallation(context)
    if (missing !== null) context.skip(missing)
    const bin = join(project, 'node_modules', 'varve', 'bin', 'varve.mjs')
    const data = join(temporaryDirectory(), 'data')
    const broker = await BrokerProcess.start(data, ['--admin-port', '0'], { node, bin })
    const client = (args: readonly string[], input?: string) =>
      mustRun(node, [bin, ...args, '--broker', broker.address], { cwd: project, input })
    await client(['produce', 't', '--compression', 'snappy'], 'a\nb\n')
    expect((await client(['consume', 't'])).stdout.toString()).toBe('a\nb\n')
    expect(await broker.stop()).toBe(0)
    const { stdout } = await mustRun(node, [bin, 'log', 'read', join(data, 't-0')], { cwd: project })
    expect(stdout.toString()).toBe('a\nb\n')
  })
})

test('the maps of the command line lead to sources that are installed', (context) => {
  needsInstallation(context)
  const bundle = join(project, 'node_modules', 'varve', 'dist', 'bundle')
  const maps = readdirSync(bundle).filter((name) => name.endsWith('.map'))
  const sources = maps.flatMap((name) => {
    const map = JSON.parse(readFileSync(join(bundle, name), 'utf8')) as { sources: string[] }
    return map.sources.map((source) => join(bundle, source))
  })
  expect(sources.length).toBeGreaterThan(300)
  expect(sources.filter((source) => !existsSync(source))).toEqual([])
})

test('the command line is there', async (context) => {
  needsInstallation(context)
  const bin = join(project, 'node_modules', '.bin', 'varve')
  const { stdout } = await mustRun(bin, ['--version'], { cwd: project })
  expect(stdout.toString()).toMatch(/^\d+\.\d+\.\d+/)
})

test('the loader has no engine in it, and names the packages that have', (context) => {
  needsInstallation(context)
  const addons = tarballs
    .map((path) => /^varve-native-([a-z].*?)-\d/.exec(basename(path))?.[1])
    .filter(Boolean)
  expect(addons).toHaveLength(1)
  const read = (name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(join(project, 'node_modules', ...name.split('/'), 'package.json'), 'utf8'))
  const loader = read('@varve/native')
  expect(loader['optionalDependencies']).toEqual({ [`@varve/native-${addons[0]}`]: loader['version'] })
  expect(read(`@varve/native-${addons[0]}`)).toMatchObject({ os: [process.platform], cpu: [process.arch] })
})

test('without an engine the error says what to install', async (context) => {
  needsInstallation(context)
  const scope = join(project, 'node_modules', '@varve')
  const name = basename(tarballs.find((path) => /^varve-native-[a-z]/.test(basename(path)))!).replace(
    /^varve-|-\d.*$/g,
    '',
  )
  const aside = join(home, 'engine')
  renameSync(join(scope, name), aside)
  try {
    writeFileSync(join(project, 'missing.mjs'), "import '@varve/log'")
    const { code, stderr } = await runChild(process.execPath, ['missing.mjs'], { cwd: project })
    expect(code).not.toBe(0)
    expect(stderr).toMatch(new RegExp(`@varve/${name} is not installed: .*without --omit=optional`))
    expect(stderr).toContain("code: 'VARVE_NATIVE_MISSING'")
    // Record batches need no engine: their checksums are computed in TypeScript.
    writeFileSync(
      join(project, 'records.mjs'),
      "import { crc32c } from '@varve/records'; console.log(crc32c(Buffer.from('123456789')))",
    )
    const { stdout } = await mustRun(process.execPath, ['records.mjs'], { cwd: project })
    expect(stdout.toString().trim()).toBe(String(0xe3069283))
  } finally {
    renameSync(aside, join(scope, name))
  }
})
