import type { Subject } from './sequence.js'
import commits from './sequences/commits.js'
import configs from './sequences/configs.js'
import fetch from './sequences/fetch.js'
import fetchSessions from './sequences/fetch-sessions.js'
import groups from './sequences/groups.js'
import idempotentProducers from './sequences/idempotent-producers.js'
import produce from './sequences/produce.js'
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
  commits,
]
