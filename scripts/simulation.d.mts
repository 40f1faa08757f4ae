import type * as simulation from '../packages/replication/test/simulation/index.js'

export interface Mutation {
  readonly file: string
  readonly replace: string
  readonly by: string
}
export function renderSimulation(mutation?: Mutation): Promise<string>
export function loadSimulation(mutation?: Mutation): Promise<typeof simulation>
