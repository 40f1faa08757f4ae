const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** A number of things, as in `1 record` or `12,000 records`. */
export function count(number: number, thing: string): string {
  return `${whole.format(number)} ${thing}${number === 1 ? '' : 's'}`
}
