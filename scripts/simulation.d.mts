export interface Mutation {
  readonly file: string
  readonly replace: string
  readonly by: string
}
export function renderSimulation(mutation?: Mutation): Promise<string>
export function loadSimulation(
  mutation?: Mutation,
): Promise<typeof import('../packages/replication/test/simulation/simulation.ts')>
