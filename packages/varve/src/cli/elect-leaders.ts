import type { ElectionType } from '@varve/client'
import { count } from './counted.js'
import { Failure } from './failure.js'
import { reportUnmoved, unmoved } from './reassigning.js'
import { printJson } from './table.js'
import { placesOf } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface ElectLeadersOptions extends AdminCommandOptions {
  unclean?: boolean
  all?: boolean
}

/** Has preferred replicas lead where they do not, or with --unclean whoever is there where nobody leads. */
export async function electLeaders(
  topics: readonly TopicPartitions[],
  options: ElectLeadersOptions,
): Promise<void> {
  const { unclean, all, json } = options
  if (topics.length > 0 && all) throw new Failure('name topics, or give --all, not both', { exitCode: 2 })
  // Which topics may lose records is to be said.
  if (unclean && topics.length === 0 && !all)
    throw new Failure('--unclean loses records: name topics, or give --all', { exitCode: 2 })
  await withAdmin(
    options,
    async (admin) => {
      const where = topics.length === 0 ? null : await placesOf(admin, topics, 'the topic')
      const type: ElectionType = unclean ? 'unclean' : 'preferred'
      const outcomes = await admin.electLeaders(type, where)
      const elected = outcomes
        .filter(({ isElected }) => isElected)
        .map(({ topic, partition }) => ({ topic, partition }))
      const failed = outcomes.flatMap((one) => (one.error === null ? [] : [unmoved(one, one.error)]))
      if (json) printJson({ elected, failed })
      else process.stdout.write(`Elected ${count(elected.length, 'leader')}\n`)
      reportUnmoved(failed)
    },
    topics[0]?.topic,
  )
}
