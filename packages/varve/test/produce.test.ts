/**
 * `varve produce` gives the lines of a chunk one outcome handler between them, and reads on when half of what it sent is
 * answered. Counted wrongly it stops for ever in the middle of a file, loses lines between two chunks, or names a line
 * as refused that the broker took.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { startBroker } from '@varve/broker'
import { expect, onTestFinished, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))

function fileOf(content: Buffer): string {
  const dir = mkdtempSync(join(tmpdir(), 'varve-produce-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'lines'), content)
  return join(dir, 'lines')
}

async function varve(...args: string[]): Promise<{ status: number; stdout: Buffer; stderr: string }> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill())
  const [stdout, stderr, [status]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number]>,
  ])
  return { status, stdout, stderr }
}

test('a file with more lines than may wait arrives byte for byte', async () => {
  await using broker = await startBroker()
  const lines = Array.from({ length: 60_000 }, (_, index) => `\xff${'x'.repeat(index % 41)}${index}\r\n\n`)
  const content = Buffer.from(`${lines.join('')}${'y'.repeat(200_000)}\nno newline at the end`, 'latin1')
  const file = fileOf(content)
  const produced = await varve('produce', 't', '-b', broker.address, '--file', file, '--linger', '60000')
  expect(produced).toMatchObject({
    status: 0,
    stderr: expect.stringContaining('Produced to t: 120,002 records'),
  })
  const { stdout } = await varve('consume', 't', '-b', broker.address)
  expect(stdout.equals(Buffer.concat([content, Buffer.from('\n')]))).toBe(true)
})

test('lines are compressed at a level, and one that the codec does not have is refused before anything is sent', async () => {
  await using broker = await startBroker()
  const file = fileOf(Buffer.from('one\ntwo\n'))
  const at = (...level: string[]) => varve('produce', 't', '-b', broker.address, '--file', file, ...level)
  expect(await at('-z', 'gzip', '--compression-level', '10')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('The level of gzip must be a whole number from 1 to 9, or -1, not 10'),
  })
  expect(await at('-z', 'zstd', '--compression-level', '-7')).toMatchObject({ status: 0 })
  expect((await varve('consume', 't', '-b', broker.address)).stdout.toString()).toBe('one\ntwo\n')
})

test('the line that was refused is named', async () => {
  await using broker = await startBroker()
  const file = fileOf(
    Buffer.from(`${'small\n'.repeat(30_000)}${'x'.repeat(2 << 20)}\n${'small\n'.repeat(2)}`),
  )
  const { status, stderr } = await varve('produce', 't', '-b', broker.address, '--file', file)
  expect(status).toBe(1)
  expect(stderr).toMatch(/^varve: line 30001 was not accepted by t: .*MESSAGE_TOO_LARGE/)
})
