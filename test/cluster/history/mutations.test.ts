/**
 * A checker that finds nothing may be one that looks for nothing: a rule that a condition has made blind, or a generator of correct
 * histories that never makes what the rule is about. So each anomaly is put into correct histories, and must be found by its name.
 */
import { describe, expect, test } from 'vitest'
import { Random } from '../../../packages/replication/test/simulation/random.js'
import { check } from './check.js'
import { ruleNames, type RuleName } from './finding.js'
import { generate } from './generator/generate.js'
import { History } from './history.js'
import type { Mutation } from './mutations/mutation.js'
import { promiseMutations } from './mutations/of-promises.js'
import { readerMutations } from './mutations/of-readers.js'
import { writeMutations } from './mutations/of-writes.js'

const seeds = Array.from({ length: 100 }, (_, seed) => seed)
const enough = 3

const histories = new Map<number, History>()
function historyOf(seed: number): History {
  if (!histories.has(seed)) histories.set(seed, new History(generate(seed)))
  return histories.get(seed)!
}

function* mutated({ name, mutate }: Mutation) {
  for (const seed of seeds) {
    const events = mutate(historyOf(seed), new Random(seed, name))
    if (events !== null) yield { seed, events, rules: rulesOf(check(events).anomalies) }
  }
}

const rulesOf = (findings: readonly { rule: RuleName }[]): RuleName[] => [
  ...new Set(findings.map(({ rule }) => rule)),
]

const mutations = [...writeMutations, ...readerMutations]

test.each(mutations)('if $name, there is a “$finds”', (mutation) => {
  let tried = 0
  for (const { seed, rules } of mutated(mutation)) {
    expect(rules, `seed ${seed}`).toContain(mutation.finds)
    if (++tried === enough) return
  }
  expect.fail(`only ${tried} histories could be spoilt so`)
})

test.each(promiseMutations)('if $name, some histories have a “$finds”', (mutation) => {
  for (const { rules } of mutated(mutation)) if (rules.includes(mutation.finds)) return
  expect.fail('no history depends on it')
})

describe('without its rule nobody finds that', () => {
  test.each(ruleNames.map((rule) => ({ rule })))('there is a “$rule”', ({ rule }) => {
    for (const mutation of mutations.filter(({ finds }) => finds === rule)) {
      for (const { events, rules } of mutated(mutation)) {
        if (rules.length > 1) continue
        expect(check(events, [rule]).anomalies).toEqual([])
        return
      }
    }
    expect.fail('no mutation is found by this rule alone')
  })
})
