/** A page of docs/, its figures made of nothing but the raw results. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { judged } from './judged.mjs'
import { svg } from './chart.mjs'
import { losses } from './losses.mjs'
import { resultsFolder } from './results.mjs'
import { markdown } from './table.mjs'
import { titles } from '../subjects/index.mjs'

const root = join(import.meta.dirname, '..', '..')

/**
 * @typedef {object} Page
 * @property {string} path from the root
 * @property {string} title
 * @property {string} introduction
 * @property {readonly import('./judged.mjs').Aim[]} aims
 * @property {string} lossesAre what the table of them holds
 * @property {readonly string[]} [remarks] what people found out, behind the aims
 */

/** Writes the page and its charts; returns its path from the root. */
export function writePage({ path, title, introduction, aims, lossesAre, remarks = [] }, results) {
  const parts = results.map(({ section, setting, cells }) => {
    const tables = section.tables(cells).map((table) => tableWithChart(table))
    return [
      `## ${section.title}`,
      ...tables,
      ...failuresIn(cells),
      `Raw: [${section.name}.json](../bench/results/${section.name}.json), ${madeOn(setting)}.`,
    ]
  })
  const all = [
    `# ${title}`,
    introduction,
    ...settingOf(results),
    ...aimsOf(aims, results),
    ...remarks,
    ...lossesOf(lossesAre, results),
    ...parts.flat(),
  ]
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), `${all.join('\n\n')}\n`)
  return path
}

const madeOn = ({ date, milliseconds }) =>
  `measured ${date.slice(0, 16).replace('T', ' ')} UTC, ${milliseconds} ms a measurement`

/** A figure that is missing must not look like one that nobody wanted. */
function failuresIn(cells) {
  const failures = cells.flatMap(({ id, subjects }) =>
    Object.entries(subjects)
      .filter(([, { error }]) => error !== undefined)
      .map(([subject, { error }]) => `- ${id}, ${titles[subject]}: ${error.split('\n')[0]}`),
  )
  return failures.length === 0 ? [] : ['What could not be measured:', failures.join('\n')]
}

function settingOf(results) {
  if (results.length === 0) return []
  const settings = new Set(
    results.map(({ setting: { machine, fileSystem, versions } }) => {
      const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
      return `${machine}, ${fileSystem}; ${named.join(', ')}`
    }),
  )
  return ['## Set-up', [...settings].map((setting) => `- ${setting}`).join('\n')]
}

function aimsOf(aims, results) {
  const rows = judged(aims, results)
    .filter(({ verdict }) => verdict !== null)
    .map(({ work, aim, obstacle = '', verdict: { measured, reached } }) => [
      work,
      aim,
      measured,
      reached ? 'reached' : `**not reached**${obstacle && `: ${obstacle}`}`,
    ])
  if (rows.length === 0) return []
  return ['## Aims', markdown({ header: ['work', 'aim', 'measured', ''], rows })]
}

function lossesOf(lossesAre, results) {
  const found = losses(results)
  if (found.length === 0) return []
  const rows = found.map(({ table, cell, rival, ratio }) => [table, cell, rival, ratio])
  return ['## Where we lose', lossesAre, markdown({ header: ['table', 'cell', 'ahead', 'varve ÷ it'], rows })]
}

function tableWithChart(table) {
  const parts = [`### ${table.title}`, table.text, markdown(table)]
  if (table.chart !== undefined) {
    writeFileSync(join(resultsFolder, `${table.name}.svg`), svg(table.title, table.chart))
    parts.push(`![${table.title}](../bench/results/${table.name}.svg)`)
  }
  return parts.join('\n\n')
}
