/**
 * Whether the suites that prove durability have a night (`npm run prove`) and try everything, or seconds (`npm test`) and try
 * a sample, the same one every time.
 */
export const isLongRun = process.env['VARVE_LONG_RUN'] === '1'

/** Where randomness starts. A long run says which seed it had; `VARVE_SEED` repeats it. */
export const seed = isLongRun ? Number(process.env['VARVE_SEED'] ?? Date.now() % 1_000_000) : 1

/** Time for a test that is short in `npm test` and takes up to hours in a long run. */
export const timeout = isLongRun ? 10 * 3600 * 1000 : 120_000

let told = 0

/** Says how far a long run is, now and then: hours without a word look like a hang. */
export function progress(done: number, total: number, what: string): void {
  if (!isLongRun || Date.now() < told + 15_000) return
  told = Date.now()
  process.stderr.write(`  ${done} of ${total}: ${what}\n`)
}
