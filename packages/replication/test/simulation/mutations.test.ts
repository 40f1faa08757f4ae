import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadSimulation } from '../../../../scripts/simulation.mjs'
import { isLongRun } from '../../../../test/support/long-run.js'
import { clusterMutations } from './cluster-mutations.js'
import type { Mutation } from './mutation.js'
import { replicaMutations } from './replica-mutations.js'

const mutations = [...replicaMutations, ...clusterMutations]
/** Beside the other tests so much of them is tried; `npm run prove:mutations` tries all. */
const tried = isLongRun ? mutations : mutations.filter((_, index) => index % 8 === 0)

/** So many from 0 on are tried where none of those shows it that once did: the random choices are others now. */
const otherSeeds = 2_000

test.each(mutations)('there is one place for: $name', ({ file, replace }) => {
  const source = readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8')
  expect(source.split(replace)).toHaveLength(2)
})

describe('the simulator finds the bug that', () => {
  test.each(tried)(
    '$name',
    async (mutation) => {
      const { simulate } = await loadSimulation(mutation)
      for (const seed of seedsFor(mutation)) {
        if (simulate(seed).violation?.invariant === mutation.breaks) return
      }
      expect.fail(`no seed breaks “${mutation.breaks}” any more`)
    },
    otherSeeds * 200,
  )
})

function* seedsFor({ seeds }: Mutation): Iterable<number> {
  yield* seeds
  for (let seed = 0; seed < otherSeeds; seed++) yield seed
}
