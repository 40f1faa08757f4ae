// The page promises what acts. It is printed from the tables, so that it cannot promise anything else.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderConfigurationPage } from '../src/configs/configuration-page.js'

test('docs/configuration.md is what the tables print', () => {
  const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  expect(page).toBe(renderConfigurationPage())
})
