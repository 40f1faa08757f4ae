import { expect, test } from 'vitest'
import { loadSimulation } from '../../../../scripts/simulation.mjs'

/** As many as fit beside the other tests; `.ci/run` has more, and `npm run simulate -- --seeds 100000` as many as you like. */
const seeds = 500

test(`whatever breaks, nothing acknowledged is lost, and the cluster recovers: ${seeds} seeds`, async () => {
  const { simulate, failureLines } = await loadSimulation()
  let acknowledged = 0
  for (let seed = 0; seed < seeds; seed++) {
    const result = simulate(seed)
    acknowledged += result.acknowledged
    if (result.violation !== null)
      expect.fail(
        [`npm run simulate -- --seed ${seed}: ${result.violation.message}`, '', ...failureLines(seed)].join(
          '\n',
        ),
      )
  }
  expect(acknowledged).toBeGreaterThan(100 * seeds)
}, 250_000)
