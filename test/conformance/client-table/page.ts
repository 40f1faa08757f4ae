import { cells, cellTitles, type TableClient, tableClients, toolCells, type ToolCell } from './clients.js'

/** What a client's program said of each cell that it was told: why it failed, or null. */
export type Outcome = ReadonlyMap<string, string | null>

const line = (columns: readonly string[]): string => `| ${columns.join(' | ')} |`

const under = (head: string, rows: readonly string[]): string =>
  [head, `|${' --- |'.repeat(head.split(' | ').length)}`, ...rows, ''].join('\n')

export const clientTableHead = line([
  'Client',
  'Codecs',
  'Keys, headers, null values',
  ...Object.values(cellTitles),
])

const toolTableHead = line(["Kafka's command line tools", 'What they are asked', ''])

/** How the row of a client begins. Elsewhere that of the system has another version. */
export const startOfRow = ({ name, title, version, isOfTheSystem }: TableClient): string =>
  `| ${title ?? name} ${version}${isOfTheSystem ? ", the system's" : ''} |`

function said(outcome: Outcome, cell: string, passed = 'passed'): string {
  const failure = outcome.get(cell)
  if (failure === undefined) return 'not done'
  return failure === null ? passed : 'failed'
}

function row(client: TableClient, outcome: Outcome): string {
  const { codecs, lacks, partly } = client
  const done = codecs.filter((codec) => outcome.get(codec) === null)
  const columns = [
    done.join(', '),
    done.length === codecs.length ? (partly?.records ?? 'passed') : 'failed',
    ...cells.map((cell) => lacks?.[cell] ?? said(outcome, cell, partly?.[cell])),
  ]
  return `${startOfRow(client)} ${columns.join(' | ')} |`
}

function toolRow(cell: ToolCell, outcome: Outcome): string {
  const [tools, asked] = toolCells[cell]
  return line([tools, asked, said(outcome, cell)])
}

/** The tables of clients and of Kafka's tools. The row of a client without an outcome, because it is not installed, stays as it is. */
export function renderClientTables(page: string, outcomes: ReadonlyMap<string, Outcome>): string {
  const lines = page.split('\n')
  const kept = (start: string): string =>
    lines.find((each) => each.startsWith(start)) ?? `${start} not installed |`
  const rows = tableClients.map((client) => {
    const outcome = outcomes.get(client.name)
    return outcome === undefined ? kept(startOfRow(client)) : row(client, outcome)
  })
  const toolRows = tableClients.flatMap(({ name, own = [] }) =>
    own.map((cell) => {
      const outcome = outcomes.get(name)
      return outcome === undefined ? kept(`| ${toolCells[cell][0]} |`) : toolRow(cell, outcome)
    }),
  )
  return [under(clientTableHead, rows), under(toolTableHead, toolRows)].join('\n')
}

/** The page with other tables of clients. */
export function withClientTables(page: string, tables: string): string {
  const from = page.indexOf('| Client |')
  const to = page.indexOf('\n## APIs')
  return `${page.slice(0, from)}${tables}${page.slice(to)}`
}
