// What Kafka answered, one file for each subject.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../support/tree.js'
import type { Answer } from './play.js'
import { Batch, type Sequence, type Subject } from './sequence.js'

export interface Recorded {
  /** Tells whether the sequence is still the one that was sent. */
  readonly sent: string
  readonly answers: readonly Answer[]
}
export type Recording = Readonly<Record<string, Recorded>>

const file = (subject: string): string =>
  join(root, 'test', 'fixtures', 'kafka-4.4-answers', `${subject}.json`)

export const readRecording = (subject: string): Recording =>
  JSON.parse(readFileSync(file(subject), 'utf8')) as Recording

/** One line for each answer, so that a change of one is a change of one line. */
export function writeRecording(subject: string, recording: Recording): void {
  const sequences = Object.entries(recording).map(([name, { sent, answers }]) => {
    const lines = answers.map((answer) => `    ${JSON.stringify(answer)}`).join(',\n')
    return `  ${JSON.stringify(name)}: {"sent": ${JSON.stringify(sent)}, "answers": [\n${lines}\n  ]}`
  })
  writeFileSync(file(subject), `{\n${sequences.join(',\n')}\n}\n`)
}

/** A digest of everything that is sent, with names for what the broker gives out, and of the broker's own configurations. */
export function digestOf(sequence: Sequence, configs: Subject['configs']): string {
  const text = JSON.stringify(sequence.steps, (key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    if (value instanceof Batch) return { values: value.values, ...value.spec }
    // The declaration of an API is not what is sent.
    if (key === 'api' && value !== undefined) return (value as { name: string }).name
    return value
  })
  const own = Object.keys(configs).length > 0 ? JSON.stringify(configs) : ''
  return createHash('sha256')
    .update(text + own)
    .digest('hex')
    .slice(0, 16)
}
