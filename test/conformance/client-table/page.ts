import { cells, cellTitles, type TableClient, tableClients } from './clients.js'

const row = ({ name, version, isOfTheSystem, codecs, lacks, partly }: TableClient): string =>
  [
    '',
    `${name} ${version}${isOfTheSystem ? ", the system's" : ''}`,
    codecs.join(', '),
    partly?.records ?? 'passed',
    ...cells.map((cell) => lacks?.[cell] ?? partly?.[cell] ?? 'passed'),
    '',
  ]
    .join(' | ')
    .trim()

/** The table of clients in `docs/protocol-support.md`. */
export function renderClientTable(): string {
  const titles = ['Client', 'Codecs', 'Keys, headers, null values', ...Object.values(cellTitles)]
  const head = ['', ...titles, ''].join(' | ').trim()
  return [head, `|${' --- |'.repeat(titles.length)}`, ...tableClients.map(row), ''].join('\n')
}
