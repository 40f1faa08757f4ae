/** Figures as people read them. */

const rounded = (value) =>
  value >= 100
    ? Math.round(value).toLocaleString('en-US')
    : value >= 10
      ? value.toFixed(0)
      : value.toFixed(value >= 1 ? 1 : 2)

export function perSecond(value) {
  if (value >= 999_500) return `${(value / 1e6).toFixed(2)} M/s`
  if (value >= 9_995) return `${rounded(value / 1e3)} k/s`
  return `${rounded(value)}/s`
}

export const megabytes = (value) =>
  value >= 999.5 ? `${(value / 1e3).toFixed(2)} GB/s` : `${rounded(value)} MB/s`

export function microseconds(value) {
  if (value >= 999_500) return `${rounded(value / 1e6)} s`
  return value >= 999.5 ? `${rounded(value / 1e3)} ms` : `${rounded(value)} µs`
}

export const milliseconds = (value) => microseconds(value * 1000)

export const bytes = (value) => {
  if (value >= 1 << 30) return `${value / (1 << 30)} GB`
  if (value >= 1 << 20) return `${value / (1 << 20)} MB`
  return value >= 1 << 10 ? `${value / (1 << 10)} KB` : `${value} B`
}

export const count = (value) => value.toLocaleString('en-US')

/** How often `b` goes into `a`: 3.2×, or 0.80× where `a` is less. */
export function ratio(a, b) {
  if (a === undefined || b === undefined) return '–'
  const value = a / b
  return `${value >= 10 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2)}×`
}
