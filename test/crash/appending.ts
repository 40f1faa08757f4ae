import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { openLog, type Log, type LogOptions } from '@varve/log'
import { expect } from 'vitest'
import { startChild } from '../support/children.js'
import { root } from '../support/tree.js'
import type { Change } from './changes.js'
import { keyOf, type Content, type Ledger } from './ledger.js'

/** What `appender.mjs` is told; see there. */
export interface Appending {
  readonly dir: string
  /** The number of the process among those on the same log. */
  readonly run: number
  readonly lanes?: number
  readonly batches?: number
  readonly maxRecords?: number
  readonly maxValueBytes?: number
  readonly keys?: number
  readonly changes?: readonly Change[]
  readonly timestamp?: number
  readonly end?: 'close' | 'exit'
  readonly options: LogOptions
}

/** The command that appends. There is no `Infinity` in JSON: such an option has its default, which no run is long enough for. */
export function appenderCommand(appending: Appending): [string, string[]] {
  const told = JSON.stringify(appending, (_, value: unknown) => (value === Infinity ? undefined : value))
  return [process.execPath, [join(root, 'test', 'crash', 'appender.mjs'), told]]
}

const STAGES = ['opening', 'opened', 'stopped', 'ended']

/** What one process that appends has said. What it was promised goes into the ledger of its log. */
export class Told {
  readonly acknowledged = new Set<string>()
  readonly shown = new Set<string>()
  /** How often each change was done. */
  readonly done = { truncated: 0, deleted: 0, retained: 0, compacted: 0 }
  /** What went wrong in there: `append VARVE_LOG_FAILED`. */
  readonly errors: string[] = []
  /** Its last words, from `opening` to `ended`. */
  stage = ''
  state = ''
  #rest = ''

  readonly ledger: Ledger

  constructor(ledger: Ledger) {
    this.ledger = ledger
  }

  /** Whether it came to change its log in every way that its policy allows. */
  get hasChanged(): boolean {
    const { truncated, deleted, retained, compacted } = this.done
    const compactions = this.ledger.policy === 'delete' ? 1 : compacted
    return Math.min(truncated, deleted, retained, compactions) > 0
  }

  /** Takes output as it comes. A process that is killed may leave half a line, which promises nothing. */
  take(output: string): void {
    const lines = (this.#rest + output).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) {
      const [kind, ...words] = line.split(' ') as [string, ...string[]]
      this.ledger.take(kind, words)
      if (kind === 'acknowledged') for (const id of words.slice(1)) this.acknowledged.add(id)
      else if (kind === 'shown') this.shown.add(words[1]!)
      else if (kind === 'error') this.errors.push(words.join(' '))
      else if (kind === 'state') this.state = words[0]!
      else if (kind in this.done) this.done[kind as keyof Told['done']]++
      else if (STAGES.includes(kind)) this.stage = kind
    }
  }
}

/** Appends in a process of its own, until that ends by itself or by `during`, which is called after every word of it. */
export async function appendInChild(
  appending: Appending,
  ledger: Ledger,
  during: (told: Told, child: ChildProcess) => void,
  env?: Readonly<Record<string, string>>,
): Promise<Told> {
  const told = new Told(ledger)
  const child = startChild(...appenderCommand(appending), { env: { ...process.env, ...env } })
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    told.take(text)
    during(told, child)
  })
  await new Promise((resolve) => child.once('close', resolve))
  expect(stderr).toBe('')
  return told
}

/** The records of a log by offset: whole, one behind the other, none of them twice, and without gaps unless it compacts. */
async function contentOf(log: Log, { cleanupPolicy = 'delete' }: LogOptions): Promise<Content> {
  const content = new Map<number, string>()
  let next = log.startOffset
  for await (const { offset, key, value } of log.read()) {
    const text = String(value)
    const id = text.split('|', 1)[0]!
    if (cleanupPolicy === 'delete' ? offset !== next : offset < next) {
      expect(offset, 'offsets have no gaps').toBe(next)
    }
    next = offset + 1
    if (text.replaceAll(`${id}|`, '') !== '') expect(text, `the value at offset ${offset} is whole`).toBe(id)
    if (String(key) !== keyOf(id)) expect(String(key), `the key at offset ${offset}`).toBe(keyOf(id))
    content.set(offset, id)
  }
  if (cleanupPolicy === 'delete') expect(next).toBe(log.endOffset)
  expect(new Set(content.values()).size, 'nothing is stored twice').toBe(content.size)
  return content
}

/** Opens a log that lost its process. Returns where it ends, and in what it is not what that had promised. */
export async function wrongIn(
  dir: string,
  options: LogOptions,
  ledger: Ledger,
  what: string,
): Promise<{ end: number; wrong: string[] }> {
  // Nothing changes while it is looked at.
  const still = { ...options, retentionCheckMs: Infinity, compactionCheckMs: Infinity }
  await using log = await openLog(dir, still)
  expect(log.failure, what).toBeNull()
  const content = await contentOf(log, options)
  return { end: log.endOffset, wrong: ledger.compare(content, log.startOffset, log.endOffset) }
}

/** Opens a log that lost its process, which must be what that had promised. Returns where it ends. */
export async function recover(...log: Parameters<typeof wrongIn>): Promise<number> {
  const { end, wrong } = await wrongIn(...log)
  expect(wrong, log[3]).toEqual([])
  return end
}
