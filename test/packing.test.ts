/**
 * In the work tree everything finds everything. What is published is less: a file that package.json's "files" leaves out,
 * the native addon first of all, or a dependency that only the root declares, is missed by nobody until somebody else
 * installs the package.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packPackages } from '../scripts/packing.mjs'
import { mustRun, runChild } from './support/children.js'
import { temporaryDirectory } from './support/tree.js'

const script = `
import { startBroker } from '@varve/broker'
import { openLog } from '@varve/log'
import { Producer, startBroker as again } from 'varve'

const log = await openLog('./log')
const { lastOffset } = await log.append([{ value: 'a' }, { value: 'b' }])
await log.close()
const broker = await startBroker()
const producer = new Producer({ brokers: [broker.address], compression: 'lz4' })
const { offset } = await producer.send('t', { value: 'c' })
await producer.close()
await broker.close()
console.log(JSON.stringify({ lastOffset, offset, same: again === startBroker }))
`

const windows = process.platform === 'win32' ? '.cmd' : ''
const UNREACHABLE = /\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/

test('the packed packages work in an empty project', { timeout: 120_000 }, async (context) => {
  const home = temporaryDirectory()
  const tarballs = join(home, 'tarballs')
  const cwd = join(home, 'project')
  mkdirSync(tarballs)
  mkdirSync(cwd)
  writeFileSync(join(cwd, 'package.json'), '{ "private": true, "type": "module" }')
  writeFileSync(join(cwd, 'script.mjs'), script)
  const packed = await packPackages(tarballs)
  expect(packed).toHaveLength(8)

  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0']
  const installed = await runChild(`npm${windows}`, ['install', ...flags, ...packed], { cwd })
  // What others publish comes from npm's cache or the network; without either there is nothing to learn here.
  if (UNREACHABLE.test(installed.stderr))
    context.skip('the registry cannot be reached; run this with a network')
  expect(installed).toMatchObject({ code: 0 })

  const { stdout } = await mustRun(process.execPath, ['script.mjs'], { cwd })
  expect(JSON.parse(stdout.toString())).toEqual({ lastOffset: 1, offset: 0, same: true })
  const version = await mustRun(`npx${windows}`, ['--no-install', 'varve', '--version'], { cwd })
  expect(version.stdout.toString()).toMatch(/^\d+\.\d+\.\d+/)
})
