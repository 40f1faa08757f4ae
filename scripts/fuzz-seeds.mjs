/** What fuzzing begins with: the files that a real Kafka wrote, in the form in which each target takes its bytes. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './paths.mjs'

const KAFKA = join(root, 'test', 'fixtures', 'kafka-4.4')
const CORPORA = join(root, 'native', 'fuzz', 'corpus')
const HEADER_BYTES = 61
/** As in `native/fuzz/fuzz_targets/directory.rs`. */
const EXTENSIONS = ['log', 'index', 'timeindex', 'txnindex', 'snapshot']
const BASES = [0, 5, 24]
const CHECKPOINT_KIND = 31

const partitions = () =>
  readdirSync(KAFKA)
    .map((name) => join(KAFKA, name))
    .filter((path) => statSync(path).isDirectory())

const filesOf = (partition) =>
  readdirSync(partition).map((name) => ({ name, bytes: readFileSync(join(partition, name)) }))

function* batchesIn(segment) {
  for (let at = 0; at < segment.length;) {
    const end = at + 12 + segment.readInt32BE(at + 8)
    yield segment.subarray(at, end)
    at = end
  }
}

const batches = () =>
  partitions()
    .flatMap(filesOf)
    .filter(({ name }) => name.endsWith('.log'))
    .flatMap(({ bytes }) => [...batchesIn(bytes)])

function* codecSeeds() {
  for (const batch of batches()) yield Buffer.concat([batch.subarray(22, 23), batch.subarray(HEADER_BYTES)])
}

/** A byte for the kind, the base offset, the file. */
function* indexSeeds() {
  const kinds = ['index', 'timeindex', 'txnindex', 'snapshot']
  for (const { name, bytes } of partitions().flatMap(filesOf)) {
    const kind = kinds.indexOf(name.split('.').at(-1))
    if (kind < 0) continue
    const head = Buffer.alloc(9, kind)
    head.writeBigInt64BE(BigInt(name.split('.')[0]), 1)
    yield Buffer.concat([head, bytes])
  }
}

/** A byte for what is done with it, two for how it was stopped, the changes, then each file behind its kind and length. */
function* directorySeeds() {
  for (const partition of partitions()) {
    const files = filesOf(partition).flatMap(({ name, bytes }) => {
      const [base, extension] = name.split('.')
      const at = BASES.indexOf(Number(base)) * 8 + EXTENSIONS.indexOf(extension)
      const kind = name === 'leader-epoch-checkpoint' ? CHECKPOINT_KIND : at
      if (kind < 0 || (kind !== CHECKPOINT_KIND && !EXTENSIONS.includes(extension))) return []
      const head = Buffer.from([kind, 0, 0])
      head.writeUInt16BE(bytes.length, 1)
      return [head, bytes]
    })
    for (const flags of [0, 1, 3]) {
      yield Buffer.concat([Buffer.from([0, flags, 1]), ...files])
      // Compacts, truncates, deletes before an offset, applies retention; with each policy.
      for (const policy of [0, 1, 2]) {
        yield Buffer.concat([Buffer.from([4 | (policy << 3), flags, 1, 3, 200, 101, 2]), ...files])
      }
    }
  }
}

const seeds = { batch: batches, codec: codecSeeds, index: indexSeeds, directory: directorySeeds }

export const targets = Object.keys(seeds)

/** Puts a target's seeds into a folder. Returns where they are. */
function write(target, folder) {
  mkdirSync(folder, { recursive: true })
  return Array.from(seeds[target](), (bytes, n) => {
    const path = join(folder, `kafka-${n}`)
    writeFileSync(path, bytes)
    return path
  })
}

/** Puts a target's seeds into its corpus, which keeps what earlier runs have found. Returns its folder. */
export function seed(target) {
  const corpus = join(CORPORA, target)
  write(target, corpus)
  return corpus
}

/** Puts a target's seeds beside an empty corpus. Returns its folder, and a file that lists the seeds in their order. */
export function seedAnew(target) {
  const folder = join(CORPORA, `${target}-anew`)
  rmSync(folder, { recursive: true, force: true })
  const [corpus, list] = [join(folder, 'corpus'), join(folder, 'seeds.txt')]
  mkdirSync(corpus, { recursive: true })
  writeFileSync(list, write(target, join(folder, 'seeds')).join(','))
  return { corpus, list }
}
