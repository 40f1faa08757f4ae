/** How benchmarks print what they measured, and where they keep it: the table as Markdown, the figures as JSON. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'

const results = join(import.meta.dirname, 'results')

/** `a` relative to `b`, as it is said: 3.2×, or 0.80× where `a` is slower. */
export function ratio(a, b) {
  const value = a / b
  return `${value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)}×`
}

/** A Markdown table whose columns line up as plain text too. */
export function table(header, rows) {
  const widths = header.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column].length)),
  )
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  return [
    line(header),
    `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`,
    ...rows.map(line),
  ].join('\n')
}

/** Prints the table and replaces `results/<name>.md` and `.json`. */
export async function write(name, title, text, figures) {
  const { model } = cpus()[0]
  const machine = `${cpus().length} × ${model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}, Node ${process.version}`
  const page = `# ${title}\n\n${text}\n\nMeasured with \`npm run bench\` on ${machine}. Ratios hold better than absolutes.\n`
  mkdirSync(results, { recursive: true })
  writeFileSync(join(results, `${name}.md`), page)
  writeFileSync(join(results, `${name}.json`), `${JSON.stringify({ machine, figures }, null, 2)}\n`)
  process.stdout.write(`${title}\n\n${text}\n\n${machine}\n`)
}
