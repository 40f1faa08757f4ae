import { brokerFailure } from './broker-failure.js'
import { Each } from './each.js'
import { Failure } from './failure.js'
import { groupFailure, withGroup } from './group.js'
import { printJson, table } from './table.js'
import { placeName, type Place } from './topic-places.js'
import type { TopicPartitions } from './values.js'
import type { AdminCommandOptions } from './with-admin.js'

export interface DeleteGroupOffsetsOptions extends AdminCommandOptions {
  topic: TopicPartitions[]
}

/** Forgets what a group has committed for topics that it does not read any more. */
export async function deleteGroupOffsets(group: string, options: DeleteGroupOffsetsOptions): Promise<void> {
  await withGroup(group, options, async (admin) => {
    const committed = await admin.listGroupOffsets(group)
    const places = new Map(
      options.topic.flatMap((topic) => placesIn(committed, topic)).map((each) => [placeName(each), each]),
    )
    if (places.size === 0)
      throw new Failure(
        `group ${group} has committed nothing there. varve group describe ${group} shows what it has`,
      )
    const outcome = await Each.of(
      [...places.keys()],
      async (name) => {
        await admin.deleteGroupOffsets(group, [places.get(name)!])
        return places.get(name)!
      },
      (error) => brokerFailure(groupFailure(error, group), options.broker),
    )
    if (options.json) printJson({ groupId: group, deleted: outcome.done, failed: outcome.failed })
    else if (outcome.done.length > 0) {
      process.stdout.write(
        table(
          [
            { head: 'TOPIC', cell: ({ topic }) => topic },
            { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
          ],
          outcome.done,
        ),
      )
    }
    outcome.report()
  })
}

function placesIn(committed: readonly Place[], { topic, partitions }: TopicPartitions): Place[] {
  if (partitions !== undefined) return partitions.map((partition) => ({ topic, partition }))
  return committed.filter((each) => each.topic === topic).map(({ partition }) => ({ topic, partition }))
}
