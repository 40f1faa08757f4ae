/** The sections of docs/performance.md, in its order; those at the end stop the brokers that the others share. */
import * as produce from './produce.mjs'
import * as requests from './requests.mjs'
import * as fsync from './fsync.mjs'
import * as consume from './consume.mjs'
import * as endToEnd from './end-to-end.mjs'
import * as footprint from './footprint.mjs'
import * as inProcess from './in-process.mjs'
import * as topics from './topics.mjs'

export const sections = [produce, requests, fsync, consume, endToEnd, footprint, inProcess, topics]
