/**
 * A promise that names its proof is worth the proof. When a test is renamed or removed, the page that counts on it must not
 * go on claiming it.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from './support/tree.js'

const page = readFileSync(join(root, 'docs', 'durability.md'), 'utf8')
const proofs = page
  .slice(page.indexOf('## Proofs'))
  .split(/^\d+\. /m)
  .slice(1)

test('every test that the page names exists', () => {
  let named = 0
  for (const proof of proofs) {
    let source = ''
    for (const [, quoted] of proof.matchAll(/`([^`]+)`/g)) {
      if (/\.(rs|ts)$/.test(quoted!)) {
        source = readFileSync(join(root, quoted!), 'utf8')
        continue
      }
      expect(source, quoted).toContain(quoted)
      named++
    }
  }
  expect(named).toBeGreaterThan(proofs.length)
})

test('every line of the table counts on a proof, and every proof is counted on', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && line.includes('(#proofs)'))
  const used = new Set(
    rows.flatMap((row) => [...row.matchAll(/\[(\d+)\]\(#proofs\)/g)].map(([, n]) => Number(n))),
  )
  expect([...used].sort((a, b) => a - b)).toEqual(proofs.map((_, n) => n + 1))
})
