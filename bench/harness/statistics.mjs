export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The median of each number in measurements of one shape, however deep it lies.
 *
 * @param {readonly Record<string, any>[]} runs
 */
export function medians(runs) {
  const [first] = runs
  if (typeof first === 'number') return median(runs)
  if (typeof first !== 'object' || first === null) return first
  return Object.fromEntries(Object.keys(first).map((key) => [key, medians(runs.map((run) => run[key]))]))
}
