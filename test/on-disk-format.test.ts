/**
 * A description of a file format that is wrong in one byte is worse than none: somebody writes a reader after it. The
 * tables of docs/on-disk-format.md are read here and files decoded with them, those that Kafka wrote (and what its own
 * tool says of them) and those that varve writes now.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openDataDirectory, openTopic } from '@varve/log'
import { crc32c, encodeBatch, encodeEndTransactionMarker } from '@varve/records'
import { beforeAll, describe, expect, test } from 'vitest'
import { root, temporaryDirectory } from './support/tree.js'

const page = readFileSync(join(root, 'docs', 'on-disk-format.md'), 'utf8')
const PARTITIONS = ['orders-0', 'short-0', 'payments-0', 'paid-0']
const fixtures = join(root, 'native', 'varve-log', 'tests', 'fixtures')

/** What stands behind `<!-- mark -->`: a table's cells, without its two head lines, or a code block's lines. */
function behind(mark: string): string {
  const start = page.indexOf(`<!-- ${mark} -->`)
  expect(start, `the page has no "${mark}"`).toBeGreaterThan(-1)
  return page.slice(start + mark.length + 9).trimStart()
}

function table(mark: string): string[][] {
  const lines = behind(mark).split('\n')
  const rows = lines.slice(2, lines.indexOf(''))
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

interface Field {
  readonly at: number
  readonly bytes: number
  readonly type: string
  readonly name: string
}

const layout = (mark: string): Field[] =>
  table(`layout: ${mark}`).map(([at, bytes, type, name]) => ({
    at: Number(at),
    bytes: Number(bytes),
    type: type!,
    name: name!,
  }))

const LAYOUTS = [...page.matchAll(/<!-- layout: (.*?) -->/g)].map(([, mark]) => mark!)

const READ: Record<string, (bytes: Buffer, at: number) => number | bigint> = {
  int8: (bytes, at) => bytes.readInt8(at),
  int16: (bytes, at) => bytes.readInt16BE(at),
  int32: (bytes, at) => bytes.readInt32BE(at),
  uint32: (bytes, at) => bytes.readUInt32BE(at),
  int64: (bytes, at) => bytes.readBigInt64BE(at),
}

type Decoded = Record<string, number>

const decode = (fields: readonly Field[], bytes: Buffer, at = 0): Decoded =>
  Object.fromEntries(fields.map((field) => [field.name, Number(READ[field.type]!(bytes, at + field.at))]))

const sizeOf = (fields: readonly Field[]): number => fields.reduce((sum, { bytes }) => sum + bytes, 0)

/** Entries one behind the other up to the end. */
function entries(mark: string, bytes: Buffer, from = 0): Decoded[] {
  const fields = layout(mark)
  const size = sizeOf(fields)
  expect((bytes.length - from) % size).toBe(0)
  return Array.from({ length: (bytes.length - from) / size }, (_, n) =>
    decode(fields, bytes, from + n * size),
  )
}

function batches(bytes: Buffer): Decoded[] {
  const fields = layout('record batch header')
  const found: Decoded[] = []
  for (let at = 0; at < bytes.length;) {
    const header = decode(fields, bytes, at)
    const end = at + 12 + header['batchLength']!
    expect(header['magic']).toBe(2)
    expect(crc32c(bytes.subarray(at + 21, end)), `the checksum of the batch at ${at}`).toBe(header['crc'])
    found.push({ ...header, position: at, size: end - at })
    at = end
  }
  return found
}

test.each(LAYOUTS)('the ruler of "%s" has no gaps', (mark) => {
  let at = 0
  for (const field of layout(mark)) {
    expect(field.at, field.name).toBe(at)
    expect(`${field.bytes * 8}`, field.name).toBe(/\d+/.exec(field.type)![0])
    at += field.bytes
  }
  // The drawing above the table says where it ends, too.
  const numbers = [...page.slice(0, page.indexOf(`<!-- layout: ${mark} -->`)).matchAll(/^ 0 [\d ]*?(\d+)$/gm)]
  if (!mark.startsWith('snapshot') && mark !== 'record batch header')
    expect(Number(numbers.at(-1)![1])).toBe(at)
})

/** Numbers as `name: value` in a line of DumpLogSegments. */
const saidIn = (line: string): Decoded =>
  Object.fromEntries([...line.matchAll(/(\w+): (-?\d+)\b/g)].map(([, name, value]) => [name, Number(value)]))

describe('what Kafka wrote', () => {
  const logs = join(root, 'packages', 'records', 'test', 'fixtures')
  // The compacted one is two files in one dump.
  const dumped = readdirSync(logs).filter((name) => name !== 'compacted' && name !== 'README.md')

  test.each(dumped)('record batches of %s', (name) => {
    const dump = readFileSync(join(logs, name, 'dump.txt'), 'utf8').split('\n')
    const said = dump.filter((line) => line.startsWith('baseOffset')).map(saidIn)
    const found = batches(readFileSync(join(logs, name, '00000000000000000000.log')))
    const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
    const lines = dump.filter((line) => line.startsWith('baseOffset'))
    expect(found).toHaveLength(said.length)
    found.forEach((header, n) => {
      const { baseOffset, lastOffset, count, baseSequence, producerId, producerEpoch, crc, position, size } =
        said[n]!
      expect(header).toMatchObject({
        baseOffset,
        recordsCount: count,
        baseSequence,
        producerId,
        producerEpoch,
        crc,
        position,
        size,
      })
      expect(header['partitionLeaderEpoch']).toBe(said[n]!['partitionLeaderEpoch'])
      expect(header['baseOffset']! + header['lastOffsetDelta']!).toBe(lastOffset)
      const bits = attributes(header['attributes']!)
      expect(lines[n]).toContain(`compresscodec: ${codecs[bits['codec']!]} `)
      expect(lines[n]).toContain(`isTransactional: ${bits['isTransactional'] === 1} `)
      expect(lines[n]).toContain(`isControl: ${bits['isControl'] === 1} `)
      expect(lines[n]).toContain(
        `${bits['timestampType'] === 1 ? 'LogAppendTime' : 'CreateTime'}: ${header['maxTimestamp']} `,
      )
    })
  })

  const partitions = readdirSync(fixtures).filter((name) =>
    readdirSync(join(fixtures, name)).includes('dump-index.txt'),
  )

  test.each(partitions)('indexes and snapshots of %s', (name) => {
    const dir = join(fixtures, name)
    const sections = readFileSync(join(dir, 'dump-index.txt'), 'utf8')
      .split(/^Dumping .*\/(?=\S+$)/m)
      .slice(1)
    let compared = 0
    for (const section of sections) {
      const [file, ...lines] = section.trimEnd().split('\n')
      const bytes = readFileSync(join(dir, file!))
      const base = Number(file!.slice(0, 20))
      const said = lines.filter((line) => /^\w+: /.test(line)).map(saidIn)
      const kind = /\.(\w+)$/.exec(file!)![1]!
      const found = DECODERS[kind]!(bytes, base)
      expect(found, file).toEqual(
        said.map((each) => expect.objectContaining(pick(each, Object.keys(found[0] ?? {})))),
      )
      compared += found.length
    }
    expect(compared).toBeGreaterThan(0)
  })
})

/** As the bits table cuts them. */
function attributes(value: number): Decoded {
  return Object.fromEntries(
    table('bits: attributes').map(([bits, name]) => {
      const [from, to = from] = bits!.split('–').map(Number)
      return [name!, (value >> from!) & (2 ** (to! - from! + 1) - 1)]
    }),
  )
}

const pick = (from: Decoded, names: readonly string[]): Decoded =>
  Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]!]))

/** Under the names of DumpLogSegments. */
const DECODERS: Record<string, (bytes: Buffer, base: number) => Decoded[]> = {
  index: (bytes, base) =>
    entries('offset index entry', bytes).map(({ relativeOffset, position }) => ({
      offset: base + relativeOffset!,
      position: position!,
    })),
  timeindex: (bytes, base) =>
    entries('time index entry', bytes).map(({ timestamp, relativeOffset }) => ({
      timestamp: timestamp!,
      offset: base + relativeOffset!,
    })),
  txnindex: (bytes) => entries('transaction index entry', bytes),
  snapshot: (bytes) => {
    const header = decode(layout('snapshot header'), bytes)
    const end = sizeOf(layout('snapshot header')) + header['count']! * sizeOf(layout('snapshot entry'))
    const found = entries('snapshot entry', bytes.subarray(0, end), sizeOf(layout('snapshot header')))
    expect(header).toEqual({ version: 1, crc: crc32c(bytes.subarray(6)), count: found.length })
    let at = end
    for (let n = 0; n < found.length && end < bytes.length; n++)
      at += 1 + bytes.readUInt8(at) * sizeOf(layout('snapshot earlier batch'))
    expect(at).toBe(bytes.length)
    return found.map(({ currentTxnFirstOffset: _, ...entry }) => entry)
  },
}

/** A pattern of the page as a regular expression; `…` repeats the line before it. */
function pattern(mark: string): RegExp {
  const lines = /```text\n([\s\S]*?)```/
    .exec(behind(`text: ${mark}`))![1]!
    .trimEnd()
    .split('\n')
  const KINDS: Record<string, string> = { uuid: '[\\w-]{22}', topic: '\\S+', id: '\\S+' }
  const regular = lines.map((line) => {
    const escaped = line.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    return escaped.replaceAll(/<(\w+)>/g, (_, kind: string) => KINDS[kind] ?? String.raw`-?\d+`)
  })
  const text = regular.map((line, n) =>
    regular[n + 1] === '…' ? `(${line}\n)*` : line === '…' ? '' : `${line}\n?`,
  )
  return new RegExp(`^${text.join('')}$`)
}

describe('what varve writes', () => {
  const data = temporaryDirectory()
  const names: string[] = []
  const read = (...path: string[]): Buffer => readFileSync(join(data, ...path))

  beforeAll(async () => {
    const directory = await openDataDirectory(data)
    const log = await directory.openLog('orders-0', { segmentBytes: 20_000, indexIntervalBytes: 1000 })
    for (let n = 0; n < 300; n++) {
      await log.append([
        { key: 'k', value: `${n}`.padEnd(100), timestamp: 1_700_000_000_000 + n },
        { value: null, key: '' },
      ])
    }
    const short = await directory.openLog('short-0')
    for (const epoch of [0, 3, 7]) {
      short.setLeaderEpoch(epoch)
      await short.append([{ value: 'a' }, { value: 'b' }])
    }
    await short.deleteBefore(3)
    const payments = await directory.openLog('payments-0')
    const producer = { producerId: 7, producerEpoch: 2, baseSequence: 0, transactional: true }
    await payments.appendBatches([encodeBatch([{ value: 'a' }, { value: 'b' }], { producer, now: 5000 })])[0]
    const abort = {
      type: 'abort',
      producerId: 7,
      producerEpoch: 2,
      coordinatorEpoch: 4,
      timestamp: 6000,
    } as const
    await payments.appendBatches([encodeEndTransactionMarker(abort)])[0]
    await directory.close()
    const topic = await openTopic(data, 'paid', { partitions: 1 })
    await topic.append([{ key: 'k', value: 'v' }])
    await topic.close()
    names.push(...PARTITIONS.flatMap((name) => readdirSync(join(data, name))), ...readdirSync(data))
  })

  test('record batches', () => {
    let next = 0
    const logs = readdirSync(join(data, 'orders-0')).filter((name) => name.endsWith('.log'))
    expect(logs.length).toBeGreaterThan(2)
    for (const name of logs) {
      expect(Number(name.slice(0, 20))).toBe(next)
      for (const header of batches(read('orders-0', name))) {
        expect(header).toMatchObject({
          baseOffset: next,
          lastOffsetDelta: 1,
          recordsCount: 2,
          producerId: -1,
          baseSequence: -1,
        })
        next += 2
      }
    }
    expect(next).toBe(600)
  })

  test('records', () => {
    const timestamp = 1_700_000_000_000
    const headers = { 'trace-id': 'ü', none: null }
    const bytes = encodeBatch([
      { key: 'k', value: null, timestamp, headers },
      { key: null, value: 'xyz', timestamp: timestamp + 300 },
    ])
    const found = records(bytes.subarray(sizeOf(layout('record batch header'))))
    expect(found).toEqual([
      {
        attributes: 0,
        timestampDelta: 0,
        offsetDelta: 0,
        key: 'k',
        value: null,
        headers: [
          ['trace-id', 'ü'],
          ['none', null],
        ],
      },
      { attributes: 0, timestampDelta: 300, offsetDelta: 1, key: null, value: 'xyz', headers: [] },
    ])
  })

  test('indexes, which point at batches', () => {
    const base = '00000000000000000000'
    const known = new Map(
      batches(read('orders-0', `${base}.log`)).map((header) => [header['position'], header]),
    )
    const offsets = DECODERS['index']!(read('orders-0', `${base}.index`), 0)
    const times = DECODERS['timeindex']!(read('orders-0', `${base}.timeindex`), 0)
    expect(offsets.length).toBeGreaterThan(10)
    for (const { offset, position } of offsets) {
      const { baseOffset, lastOffsetDelta } = known.get(position!)!
      expect(offset).toBe(baseOffset! + lastOffsetDelta!)
    }
    expect(times.length).toBeGreaterThan(10)
    for (const { timestamp, offset } of times) {
      const header = [...known.values()].find(
        (each) => offset === each['baseOffset']! + each['lastOffsetDelta']!,
      )!
      expect(header['maxTimestamp']).toBe(timestamp)
    }
  })

  test('aborted transactions and producers', () => {
    expect(DECODERS['txnindex']!(read('payments-0', `${'0'.repeat(20)}.txnindex`), 0)).toEqual([
      { version: 0, producerId: 7, firstOffset: 0, lastOffset: 2, lastStableOffset: 3 },
    ])
    expect(DECODERS['snapshot']!(read('payments-0', `${'3'.padStart(20, '0')}.snapshot`), 0)).toEqual([
      {
        producerId: 7,
        producerEpoch: 2,
        lastSequence: 1,
        lastOffset: 1,
        offsetDelta: 1,
        timestamp: 6000,
        coordinatorEpoch: 4,
      },
    ])
  })

  test('text files', () => {
    expect(read('meta.properties').toString()).toMatch(pattern('meta.properties'))
    expect(read('.kafka_cleanshutdown').toString()).toMatch(pattern('.kafka_cleanshutdown'))
    const checkpoints = names.filter((name) => name.endsWith('-offset-checkpoint'))
    expect(checkpoints).toContain('recovery-point-offset-checkpoint')
    for (const name of checkpoints) expect(read(name).toString(), name).toMatch(pattern('offset checkpoint'))
    expect(read('log-start-offset-checkpoint').toString()).toContain('short 0 3\n')
    const epochs = read('short-0', 'leader-epoch-checkpoint').toString()
    expect(epochs).toMatch(pattern('leader-epoch-checkpoint'))
    // The first epoch is gone with its records.
    expect(epochs).toBe('0\n2\n3 3\n7 4\n')
    expect(read('paid-0', 'partition.metadata').toString()).toMatch(pattern('partition.metadata'))
    expect('0\n1\norders 0 12\nmore').not.toMatch(pattern('offset checkpoint'))
    expect('version: 0\ntopic_id: J9uOlaTHQiS3H7UuO3CAdQ').toMatch(pattern('partition.metadata'))
  })

  test('no file that the page does not name', () => {
    const known = table('files').map(([file]) => {
      const name = file!.replaceAll('`', '').replaceAll('.', String.raw`\.`)
      return new RegExp(`^${name.replace('<base>', String.raw`\d{20}`).replace('<name>', '.*')}$`)
    })
    const partitions = readdirSync(fixtures).flatMap((name) => readdirSync(join(fixtures, name)))
    const files = [...names, ...partitions].filter(
      (name) => !PARTITIONS.includes(name) && !name.startsWith('dump'),
    )
    expect(files.length).toBeGreaterThan(20)
    expect(files.filter((name) => !known.some((each) => each.test(name)))).toEqual([])
  })
})

/** Uncompressed records one behind the other, as the table of a record cuts them. */
function records(bytes: Buffer): object[] {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
  }
  const text = (length: number): string | null => {
    if (length < 0) return null
    at += length
    return bytes.toString('utf8', at - length, at)
  }
  const found = []
  while (at < bytes.length) {
    const record: Record<string, number | string | null> = {}
    let [last, end] = [0, 0]
    for (const [type, name] of table('record')) {
      if (type === 'bytes') record[name!] = text(last)
      else last = type === 'int8' ? bytes.readInt8(at++) : varint()
      if (name === 'length') end = at + last
      else if (type !== 'bytes') record[name!] = last
    }
    const { keyLength: _key, valueLength: _value, headersCount, ...fields } = record
    const headers = Array.from({ length: Number(headersCount) }, () => [text(varint()), text(varint())])
    expect(at, 'the length says where the record ends').toBe(end)
    found.push({ ...fields, headers })
  }
  return found
}
