import { describe, expect, test } from 'vitest'
import { loadSimulation } from '../../../../scripts/simulation.mjs'
import { clusterMutations } from './cluster-mutations.js'
import type { Mutation } from './mutation.js'
import { replicaMutations } from './replica-mutations.js'

/** So many from 0 on are tried where none of those shows it that once did: the random choices are others now. */
const otherSeeds = 2_000

describe('the simulator finds the bug that', () => {
  test.each([...replicaMutations, ...clusterMutations])(
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
