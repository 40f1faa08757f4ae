import { emptyAssignment, inMemberOrder, subscribedTopics, type GroupAssignor } from './assignor.js'

/**
 * Of each topic a range of neighbouring partitions for each subscriber; the first ones have one more where it does not
 * come out even. Topics with as many partitions are shared out alike, which joins need.
 */
export const rangeAssignor: GroupAssignor = {
  name: 'range',
  protocol: 'eager',
  assign(members, partitions) {
    const assignment = emptyAssignment(members)
    const ordered = inMemberOrder(members)
    for (const { topic, count } of subscribedTopics(members, partitions)) {
      const subscribers = ordered.filter(({ topics }) => topics.includes(topic))
      let partition = 0
      for (const [index, { memberId }] of subscribers.entries()) {
        const more = index < count % subscribers.length ? 1 : 0
        const end = partition + Math.floor(count / subscribers.length) + more
        for (; partition < end; partition++) assignment.get(memberId)!.push({ topic, partition })
      }
    }
    return assignment
  },
}

/** All partitions of all topics one after the other, each to the next member that subscribes to its topic. */
export const roundRobinAssignor: GroupAssignor = {
  name: 'roundrobin',
  protocol: 'eager',
  assign(members, partitions) {
    const assignment = emptyAssignment(members)
    const ordered = inMemberOrder(members)
    let turn = 0
    for (const { topic, count } of subscribedTopics(members, partitions)) {
      for (let partition = 0; partition < count; partition++) {
        while (!ordered[turn % ordered.length]!.topics.includes(topic)) turn++
        assignment.get(ordered[turn++ % ordered.length]!.memberId)!.push({ topic, partition })
      }
    }
    return assignment
  },
}
