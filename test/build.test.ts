/**
 * Whoever clones the tree meets the build before anything else: with no Rust, with last year's Rust, with two shells that
 * start at once, with a Ctrl-C in the middle. Each of these once cost somebody an evening in some other project.
 */
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, test } from 'vitest'
import { runChild, startChild } from './support/children.js'
import { root, temporaryDirectory } from './support/tree.js'

const script = (name: string): string => JSON.stringify(pathToFileURL(join(root, 'scripts', name)).href)

/** Runs lines of a module that may import the scripts; prints the message of a failure as `run.mjs` does. */
const runScript = (code: string, env: NodeJS.ProcessEnv = {}) =>
  runChild(
    process.execPath,
    ['--input-type=module', '-e', `try { ${code} } catch (error) { console.log(error.message) }`],
    {
      env: { ...process.env, ...env },
    },
  )

describe('the toolchain', () => {
  test('Node is checked by the lines that varve supports', async () => {
    const { stdout } = await runScript(`
      const { checkNode } = await import(${script('toolchain.mjs')})
      for (const version of ['18.20.0', '20.18.9', '20.19.0', '21.7.0', '22.11.0', '22.12.0', '24.0.0']) {
        try { checkNode(version) } catch (error) { console.log(error.message) }
      }`)
    const lines = stdout.toString().trimEnd().split('\n')
    expect(lines.map((line) => /this is ([\d.]+)\. /.exec(line)?.[1])).toEqual([
      '18.20.0',
      '20.18.9',
      '21.7.0',
      '22.11.0',
    ])
    expect(lines[0]).toContain('https://nodejs.org')
  })

  const checkRust = `const { checkRust } = await import(${script('toolchain.mjs')}); await checkRust(); console.log('fine')`

  /** A folder with commands that print what real ones would. */
  function commands(outputs: Record<string, string>): NodeJS.ProcessEnv {
    const directory = temporaryDirectory()
    for (const [name, output] of Object.entries(outputs)) {
      writeFileSync(join(directory, name), `#!/bin/sh\necho '${output}'\n`)
      chmodSync(join(directory, name), 0o755)
    }
    return { PATH: directory, HOME: directory, CARGO_HOME: join(directory, 'none') }
  }

  test('no Rust at all', async () => {
    const { stdout } = await runScript(checkRust, commands({}))
    expect(stdout.toString()).toMatch(/^varve's engine .* no cargo .* https:\/\/rustup\.rs.*\n$/)
  })

  test('a Rust that is too old', async () => {
    const { stdout } = await runScript(
      checkRust,
      commands({ cargo: 'cargo 1.60.0', rustc: 'rustc 1.60.0 (7737e0b5c 2022-04-04)' }),
    )
    expect(stdout.toString()).toMatch(
      /^varve needs Rust [\d.]+ or newer; this is 1\.60\.0\. .*rustup update stable\n$/,
    )
  })

  test('a Rust that is new enough, found where rustup puts it', async () => {
    const home = temporaryDirectory()
    mkdirSync(join(home, 'bin'))
    for (const name of ['cargo', 'rustc']) {
      writeFileSync(join(home, 'bin', name), `#!/bin/sh\necho '${name} 9.1.0 (x)'\n`)
      chmodSync(join(home, 'bin', name), 0o755)
    }
    const { stdout } = await runScript(checkRust, { PATH: '/nowhere', CARGO_HOME: home })
    expect(stdout.toString()).toBe('fine\n')
  })
})

describe('one build at a time', () => {
  test('builds that start together take turns', { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory()
    const [tickets, journal] = [join(directory, 'tickets'), join(directory, 'journal')]
    const builder = `
      import { appendFileSync } from 'node:fs'
      import { takeBuildLock } from ${script('build-lock.mjs')}
      const release = await takeBuildLock(${JSON.stringify(tickets)}, () => {})
      appendFileSync(${JSON.stringify(journal)}, 'begin\\n')
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      appendFileSync(${JSON.stringify(journal)}, 'end\\n')
      release()
      process.stdout.write('done')`
    const builders = await Promise.all(
      Array.from({ length: 6 }, () => runChild(process.execPath, ['--input-type=module', '-e', builder])),
    )
    expect(builders.map(({ stdout }) => stdout.toString())).toEqual(Array.from({ length: 6 }, () => 'done'))
    expect(readFileSync(journal, 'utf8')).toBe('begin\nend\n'.repeat(6))
    expect(readdirSync(tickets)).toEqual([])
  })

  test('a build that was killed holds up nobody', { timeout: 60_000 }, async () => {
    const tickets = join(temporaryDirectory(), 'tickets')
    const take = `
      import { takeBuildLock } from ${script('build-lock.mjs')}
      const release = await takeBuildLock(${JSON.stringify(tickets)}, (pid) => console.log('waits for', pid))
      console.log('has it')`
    const holder = startChild(process.execPath, [
      '--input-type=module',
      '-e',
      `${take}; setInterval(() => {}, 1000)`,
    ])
    await once(holder.stdout!, 'data')
    const waiter = startChild(process.execPath, ['--input-type=module', '-e', take])
    const [waits] = (await once(waiter.stdout!, 'data')) as [Buffer]
    expect(waits.toString()).toBe(`waits for ${holder.pid}\n`)
    holder.kill('SIGKILL')
    const [has] = (await once(waiter.stdout!, 'data')) as [Buffer]
    expect(has.toString()).toBe('has it\n')
  })
})
