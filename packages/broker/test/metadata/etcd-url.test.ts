// An address that is understood in another way than it was meant sends brokers to the wrong etcd, or without TLS; a password
// that gets into a message gets into logs.
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import { type EtcdUrlOptions, parseEtcdUrl } from '../../src/metadata/etcd-url.js'

test.each([
  [
    'etcd://10.0.0.1:2379',
    { endpoints: [{ host: '10.0.0.1', port: 2379 }], keyPrefix: '', tls: null, user: null },
  ],
  ['etcd://etcd', { endpoints: [{ host: 'etcd', port: 2379 }] }],
  [
    'ETCD://a:1,b:2,[::1]:3/',
    {
      endpoints: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
        { host: '::1', port: 3 },
      ],
      keyPrefix: '',
    },
  ],
  ['etcd://a/varve', { keyPrefix: '/varve' }],
  [
    'etcd://a,b/teams/varve//',
    {
      endpoints: [
        { host: 'a', port: 2379 },
        { host: 'b', port: 2379 },
      ],
      keyPrefix: '/teams/varve',
    },
  ],
  ['etcds://a', { tls: {}, user: null }],
  ['etcd://varve:s%3Ae%40c%2Fr%25t@a', { user: { name: 'varve', password: 's:e@c/r%t' } }],
  ['etcd://v%C3%A4rve:a:b@a', { user: { name: 'värve', password: 'a:b' } }],
  ['etcd://varve:@a', { user: { name: 'varve', password: '' } }],
])('%s', (url, expected) => {
  expect(parseEtcdUrl(url)).toMatchObject(expected)
})

test('user, password and TLS may stand beside the URL', () => {
  const tls = { ca: 'CA', cert: 'CERT', key: Buffer.from('KEY'), serverName: 'etcd' }
  expect(parseEtcdUrl('etcds://a', { user: 'varve', password: 'p%', ...tls })).toMatchObject({
    user: { name: 'varve', password: 'p%' },
    tls,
  })
  expect(parseEtcdUrl('etcd://varve@a', { password: 'secret' }).user).toEqual({
    name: 'varve',
    password: 'secret',
  })
})

test.each<[string, EtcdUrlOptions, RegExp]>([
  ['http://a:2379', {}, /of the form etcd:\/\//],
  ['a:2379', {}, /of the form etcd:\/\//],
  ['etcd:a', {}, /of the form etcd:\/\//],
  ['etcd://', {}, /'' is no endpoint/],
  ['etcd://a,', {}, /'' is no endpoint/],
  ['etcd://a:b', {}, /'a:b' is no endpoint/],
  ['etcd://::1:2379', {}, /'::1:2379' is no endpoint/],
  ['etcd://a:0', {}, /'a:0' has no port from 1 to 65535/],
  ['etcd://a:65536', {}, /no port/],
  ['etcd://a,b:2379,a:2379', {}, /names an endpoint twice/],
  ['etcd://a/varve?x=1', {}, /key prefix '\/varve\?x=1'/],
  ['etcd://varve@a', {}, /the user 'varve' of etcd has no password/],
  ['etcd://:secret@a', {}, /no user/],
  ['etcd://a', { password: 'secret' }, /no user/],
  ['etcd://a', { user: 'varve' }, /has no password/],
  ['etcd://varve:secret@a', { user: 'other' }, /the user for etcd is given in the URL and beside it/],
  [
    'etcd://varve:secret@a',
    { password: 'secret' },
    /the password for etcd is given in the URL and beside it/,
  ],
  ['etcd://varve:secret%@a', {}, /write % as %25/],
  ['etcd://a', { ca: 'CA' }, /the option ca is of use for TLS only; write etcds:\/\//],
  ['etcd://a', { serverName: 'a' }, /the option serverName/],
  ['etcds://a', { cert: 'CERT' }, /its key go together/],
  ['etcds://a', { key: 'KEY' }, /its key go together/],
])('%s with %j is refused', (url, options, reason) => {
  const parse = () => parseEtcdUrl(url, options)
  expect(parse).toThrow(reason)
  try {
    parse()
  } catch (error) {
    expect(VarveError.is(error) && error.code).toBe('VARVE_INVALID_OPTION')
    expect((error as Error).message).not.toContain('secret')
  }
})
