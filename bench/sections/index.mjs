/**
 * The sections of the report, in its order. A section names its cells, measures one subject in one of them (in a process
 * of its own), and makes tables of what was measured.
 *
 * @typedef {object} Cell
 * @property {string} id what stands in its row
 * @property {readonly string[]} subjects who is measured in it
 * @property {Record<string, any> & { data?: unknown }} parameters `data` names a directory that `prepare` fills, which the
 *   cells of the section that name the same share
 */
import * as append from './append.mjs'
import * as batches from './batches.mjs'
import * as follow from './follow.mjs'
import * as codec from './codec.mjs'
import * as compaction from './compaction.mjs'
import * as disk from './disk.mjs'
import * as growth from './growth.mjs'
import * as open from './open.mjs'
import * as partitions from './partitions.mjs'
import * as reads from './reads.mjs'
import * as send from './send.mjs'

export const sections = [
  append,
  batches,
  reads,
  follow,
  send,
  open,
  partitions,
  growth,
  compaction,
  codec,
  disk,
]
