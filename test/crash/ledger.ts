import { join } from 'node:path'
import { openLog, type Log, type LogOptions } from '@varve/log'
import { expect } from 'vitest'
import { startChild } from '../support/children.js'
import { root } from '../support/tree.js'

/** What `appender.mjs` is told; see there. */
export interface Appending {
  readonly dir: string
  readonly run: string
  readonly lanes?: number
  readonly batches?: number
  readonly maxRecords?: number
  readonly maxValueBytes?: number
  readonly end?: 'close' | 'exit'
  readonly options: LogOptions
}

/** The command that appends. */
export function appenderCommand(appending: Appending): [string, string[]] {
  return [process.execPath, [join(root, 'test', 'crash', 'appender.mjs'), JSON.stringify(appending)]]
}

/** What a process that appends has said: kept here, where its end cannot take it back. */
export class Ledger {
  /** By offset, the record that was acknowledged there. */
  readonly acknowledged = new Map<number, string>()
  /** By offset, the record that a reader was shown there. */
  readonly shown = new Map<number, string>()
  /** What went wrong in there: `append VARVE_LOG_FAILED`. */
  readonly errors: string[] = []
  /** Its last words, from `opening` to `ended`. */
  stage = ''
  state = ''
  #rest = ''

  /** Takes output as it comes. A process that is killed may leave half a line, which promises nothing. */
  take(output: string): void {
    const lines = (this.#rest + output).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) {
      const [kind, ...words] = line.split(' ') as [string, ...string[]]
      if (kind === 'acknowledged') this.#acknowledge(Number(words[0]), words.slice(1))
      else if (kind === 'shown') this.shown.set(Number(words[0]), words[1]!)
      else if (kind === 'error') this.errors.push(words.join(' '))
      else if (kind === 'state') this.state = words[0]!
      else this.stage = kind
    }
  }

  /** Takes over what another process on the same log was told and shown. */
  add(ledger: Ledger): void {
    for (const [offset, id] of ledger.acknowledged) this.acknowledged.set(offset, id)
    for (const [offset, id] of ledger.shown) this.shown.set(offset, id)
  }

  #acknowledge(baseOffset: number, ids: readonly string[]): void {
    ids.forEach((id, delta) => this.acknowledged.set(baseOffset + delta, id))
  }
}

/** Appends in a process of its own, until that ends by itself or by `during`, which is called after every word of it. */
export async function appendInChild(
  appending: Appending,
  during: (ledger: Ledger, kill: () => void) => void,
): Promise<Ledger> {
  const ledger = new Ledger()
  const child = startChild(...appenderCommand(appending))
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    ledger.take(text)
    during(ledger, () => void child.kill('SIGKILL'))
  })
  await new Promise((resolve) => child.once('close', resolve))
  expect(stderr).toBe('')
  return ledger
}

/** The records of a log by offset: whole, one behind the other, and none of them twice. */
export async function contentOf(log: Log): Promise<Map<number, string>> {
  const content = new Map<number, string>()
  let next = log.startOffset
  for await (const { offset, value } of log.read()) {
    const text = String(value)
    const id = text.split('|', 1)[0]!
    if (offset !== next++) expect(offset, 'offsets have no gaps').toBe(next - 1)
    if (text.replaceAll(`${id}|`, '') !== '') expect(text, `the value at offset ${offset} is whole`).toBe(id)
    content.set(offset, id)
  }
  expect(next).toBe(log.endOffset)
  expect(new Set(content.values()).size, 'nothing is stored twice').toBe(content.size)
  return content
}

/** What was promised or shown and is not there. */
export function missingFrom(content: ReadonlyMap<number, string>, ledger: Ledger): string[] {
  const promised = [...ledger.acknowledged, ...ledger.shown]
  return promised
    .filter(([offset, id]) => content.get(offset) !== id)
    .map(([offset, id]) => `${id} at offset ${offset}, where there is ${content.get(offset) ?? 'nothing'}`)
}

/** Opens a log that lost its process, and compares it with what that had promised. Returns what is in it. */
export async function recover(
  dir: string,
  options: LogOptions,
  ledger: Ledger,
  what: string,
): Promise<Map<number, string>> {
  await using log = await openLog(dir, options)
  expect(log.failure, what).toBeNull()
  const content = await contentOf(log)
  expect(missingFrom(content, ledger), what).toEqual([])
  return content
}
