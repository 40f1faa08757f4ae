import type { Admin } from '@varve/client'
import { Failure } from './failure.js'
import type { TopicPartitions } from './values.js'

export interface Place {
  readonly topic: string
  readonly partition: number
}

export const placeName = ({ topic, partition }: Place): string => `${topic}-${partition}`

/** The partitions that were named, or all of a topic without any. `option` is where they were named. */
export async function placesOf(
  admin: Admin,
  topics: readonly TopicPartitions[],
  option: string,
): Promise<Place[]> {
  const described = await admin.describeTopics(topics.map(({ topic }) => topic))
  return topics.flatMap(({ topic, partitions }, index) => {
    const count = described[index]!.partitions.length
    const wanted = partitions ?? Array.from({ length: count }, (_, number) => number)
    for (const partition of wanted) {
      if (partition >= count)
        throw new Failure(
          `${topic} has no partition ${partition}: it has ${count}, numbered from 0. Check ${option}`,
        )
    }
    return wanted.map((partition) => ({ topic, partition }))
  })
}
