import { random } from './random.js'

const WORDS = [
  'layer',
  'clay',
  'silt',
  'spring',
  'åsen',
  'größer',
  'façade',
  'слой',
  '年縞',
  '地層',
  '🪨',
  '🌊',
  'a',
  'sediment',
  'winter,',
  '"quoted"',
  'tab\there',
  ' ',
]

/**
 * Text as a person's files hold it: most lines short, some empty, a few of many kilobytes, several scripts. The same
 * for the same seed. Every line ends with a newline.
 */
export function sampleText(lines: number, seed: number, { emptyLines = true } = {}): Buffer {
  const next = random(seed)
  const parts: string[] = []
  for (let line = 0; line < lines; line++) {
    const kind = next()
    const isEmpty = emptyLines && kind < 0.03
    const words = isEmpty ? 0 : kind > 0.9995 ? 2000 : 1 + Math.floor(next() * 14)
    let text = words === 0 ? '' : `${line}`
    for (let word = 1; word < words; word++) text += ` ${WORDS[Math.floor(next() * WORDS.length)]}`
    parts.push(text, '\n')
  }
  return Buffer.from(parts.join(''))
}

export interface Difference {
  readonly line: number
  readonly expected: string
  readonly found: string
}

/** The first line in which two texts differ, or null: a failing comparison of megabytes should not print them. */
export function firstDifference(expected: Buffer, found: Buffer): Difference | null {
  if (expected.equals(found)) return null
  const wanted = expected.toString('latin1').split('\n')
  const got = found.toString('latin1').split('\n')
  let line = 0
  while (wanted[line] === got[line]) line++
  const show = (text: string | undefined): string =>
    text === undefined ? '(nothing)' : Buffer.from(text, 'latin1').toString().slice(0, 80)
  return { line: line + 1, expected: show(wanted[line]), found: show(got[line]) }
}
