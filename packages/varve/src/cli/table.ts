export interface Column<R> {
  readonly head: string
  /** Numbers stand to the right. Default false. */
  readonly right?: boolean
  readonly cell: (row: R) => string | number | null
}

/** Rows under their heads, in columns as wide as they need; a dash for what there is not. Every line ends with a newline. */
export function table<R>(columns: ReadonlyArray<Column<R>>, rows: readonly R[], indent = ''): string {
  const cells = rows.map((row) =>
    columns.map(({ cell }) => {
      const value = cell(row)
      return value === null || value === '' ? '-' : String(value)
    }),
  )
  const lines = [columns.map(({ head }) => head), ...cells]
  const widths = columns.map((_, column) =>
    lines.reduce((most, line) => Math.max(most, line[column]!.length), 0),
  )
  const pad = (text: string, column: number): string =>
    columns[column]!.right ? text.padStart(widths[column]!) : text.padEnd(widths[column]!)
  return lines.map((line) => `${indent}${line.map(pad).join('  ').trimEnd()}\n`).join('')
}

/** For scripts: one document, the same whatever the terminal is. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}
