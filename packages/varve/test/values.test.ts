/** A wrong option that is taken for a right one costs more than an error: `--from 10x` must not mean 10. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { acks, brokers, from, integer, logFrom, offsetsAt, separator, time } from '../src/cli/values.js'

test('whole numbers, within their limits', () => {
  expect(integer(0, 65_535)('0')).toBe(0)
  expect(integer(0, 65_535)('65535')).toBe(65_535)
  for (const wrong of ['65536', '-1', '1.5', '1e3', '0x10', ' 1', '', '10x']) {
    expect(() => integer(0, 65_535)(wrong), wrong).toThrow('from 0 to 65535')
  }
  expect(() => integer(1)('9007199254740993')).toThrow('from 1 on')
})

test('brokers', () => {
  expect(brokers('localhost:9092')).toEqual(['localhost:9092'])
  expect(brokers('a:1, b:2')).toEqual(['a:1', 'b:2'])
  expect(brokers('[::1]:9092')).toEqual(['[::1]:9092'])
  for (const wrong of ['localhost', ':9092', 'a:', 'a:0', 'a:65536', 'kafka://a:1', '::1:9092', '']) {
    expect(() => brokers(wrong), wrong).toThrow('HOST:PORT')
  }
})

test('acks', () => {
  expect(['all', '-1', '1', '0'].map(acks)).toEqual([-1, -1, 1, 0])
  expect(() => acks('2')).toThrow()
})

test('where to read from', () => {
  expect(from('earliest')).toEqual({ at: 'earliest' })
  expect(from('latest')).toEqual({ at: 'latest' })
  expect(from('42')).toEqual({ at: 'offset', offset: 42 })
  expect(from('2026-01-31T12:00:00Z')).toEqual({ at: 'time', timestamp: Date.UTC(2026, 0, 31, 12) })
  for (const wrong of ['10x', '-1', 'yesterday', '', '2026-13-01', '99999999999999999999']) {
    expect(() => from(wrong), wrong).toThrow('earliest')
  }
})

test('a time without a zone is UTC, as for the tools of Kafka, wherever the machine is', () => {
  vi.stubEnv('TZ', 'America/New_York')
  onTestFinished(() => void vi.unstubAllEnvs())
  expect(new Date(2026, 0, 31, 12).getTime()).toBe(Date.UTC(2026, 0, 31, 17))
  const noon = Date.UTC(2026, 0, 31, 12)
  for (const text of [
    '2026-01-31T12:00',
    '2026-01-31 12:00:00',
    '2026-01-31T12:00:00.000',
    '2026-01-31T12:00:00Z',
    '2026-01-31T07:00:00-05',
    '2026-01-31T17:30:00.000+0530',
    '2026-01-31T14:00+02:00',
  ]) {
    expect(time(text), text).toBe(noon)
    expect(from(text), text).toEqual({ at: 'time', timestamp: noon })
    expect(logFrom(text), text).toEqual({ timestamp: noon })
    expect(offsetsAt(text), text).toEqual({ at: 'time', timestamp: noon })
  }
  expect(time('2026-01-31')).toBe(Date.UTC(2026, 0, 31))
  expect(time('1769860800000')).toBe(noon)
  for (const wrong of [
    'Jan 31 2026',
    '2026-02-30',
    '2026-01-31T25:00',
    '2026-01-31T12',
    '2026-01-31T12:00+2',
  ])
    expect(() => time(wrong), wrong).toThrow('It is a time')
})

test('separators are bytes, with the escapes that shells make awkward', () => {
  expect(separator(':').toString()).toBe(':')
  expect(separator('\\t').toString()).toBe('\t')
  expect(separator('\\\\t').toString()).toBe('\\t')
  expect(separator('→').length).toBe(3)
  expect(() => separator('')).toThrow()
})
