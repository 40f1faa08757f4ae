/** Bar charts as SVG: a group for each row of a table, whose bars are drawn relative to the longest of the group. */

/**
 * @typedef {object} Chart
 * @property {boolean} [lessIsBetter]
 * @property {readonly { title: string, bars: readonly { title: string, value: number, text: string, isOurs: boolean }[] }[]} groups
 */

const WIDTH = 760
const LABELS = 150
const VALUES = 90
const BAR = 14
const GAP = 3
const GROUP_TITLE = 20
const GROUP_GAP = 14
const TOP = 44

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** @param {string} title @param {Chart} chart */
export function svg(title, { groups, lessIsBetter = false }) {
  const shapes = []
  let y = TOP
  for (const { title: group, bars } of groups) {
    shapes.push(`<text class="group" x="0" y="${y + 13}">${escaped(group)}</text>`)
    y += GROUP_TITLE
    const longest = Math.max(...bars.map(({ value }) => value))
    for (const { title: label, value, text, isOurs } of bars) {
      const width = Math.max(1, Math.round((value / longest) * (WIDTH - LABELS - VALUES)))
      const middle = y + BAR - 3
      shapes.push(
        `<text class="label" x="${LABELS - 8}" y="${middle}">${escaped(label)}</text>`,
        `<rect class="${isOurs ? 'ours' : 'other'}" x="${LABELS}" y="${y}" width="${width}" height="${BAR}" rx="2"/>`,
        `<text class="value" x="${LABELS + width + 6}" y="${middle}">${escaped(text)}</text>`,
      )
      y += BAR + GAP
    }
    y += GROUP_GAP
  }
  const direction = lessIsBetter ? 'less is better' : 'more is better'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img" aria-label="${escaped(title)}">
<style>
  svg { background: #fff; font: 12px system-ui, sans-serif; }
  .title { font-size: 15px; font-weight: 600; } .note, .value { fill: #555; } .group { font-weight: 600; }
  .label { text-anchor: end; } .ours { fill: #0b7285; } .other { fill: #ced4da; }
</style>
<text class="title" x="0" y="18">${escaped(title)}</text>
<text class="note" x="0" y="34">Each group relative to its longest bar; ${direction}.</text>
${shapes.join('\n')}
</svg>
`
}
