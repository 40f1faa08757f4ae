import type { Subject } from './sequence.js'
import commits from './sequences/commits.js'
import configs from './sequences/configs.js'
import fetch from './sequences/fetch.js'
import fetchSessions from './sequences/fetch-sessions.js'
import groups from './sequences/groups.js'
import idempotentProducers from './sequences/idempotent-producers.js'
import produce from './sequences/produce.js'
import rebalances from './sequences/rebalances.js'
import requests from './sequences/requests.js'
import topics from './sequences/topics.js'

export const subjects: readonly Subject[] = [
  requests,
  topics,
  configs,
  produce,
  idempotentProducers,
  fetch,
  fetchSessions,
  groups,
  rebalances,
  commits,
]

/** Set in Kafka where its default is another than that of `startBroker`, which the page of differences lists too. */
export const madeEqual: ReadonlyArray<{ name: string; value: string; kafka: string; why: string }> = [
  {
    name: 'group.initial.rebalance.delay.ms',
    value: '0',
    kafka: '3000',
    why: '`varve serve` has Kafka’s default; a test need not wait for members that nobody started.',
  },
  {
    name: 'offsets.topic.num.partitions',
    value: '1',
    kafka: '50',
    why: 'One broker gains nothing by more.',
  },
]
