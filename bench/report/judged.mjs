/** Which aims are reached, each computed from the raw results. */

/**
 * @typedef {object} Aim
 * @property {string} work
 * @property {string} aim
 * @property {string} section
 * @property {string} [obstacle] what stands in the way, as profiles show it
 * @property {(find: (fits: (parameters: any) => boolean) => any, cells: readonly any[]) => Verdict} judge `find` gives the cell
 *   with such parameters
 *
 * @typedef {{ measured: string, reached: boolean } | null} Verdict null where nothing was measured
 */

/**
 * @param {readonly Aim[]} aims
 * @param {readonly { section: { name: string }, cells: readonly any[] }[]} results
 */
export function judged(aims, results) {
  return aims.map((aim) => {
    const cells = results.find(({ section }) => section.name === aim.section)?.cells ?? []
    const find = (fits) => cells.find(({ parameters }) => fits(parameters))
    return { ...aim, verdict: aim.judge(find, cells) }
  })
}
