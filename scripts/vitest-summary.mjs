/** A vitest reporter that writes what `npm test` adds up: counts, and the reason of every skipped test. */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

/** Projects of vitest.config.ts that a test needs no name of, because it is in one of them only. */
const usual = ['alone', 'together']

export default class Summary {
  onTestRunEnd(modules) {
    const result = { passed: 0, failed: 0, skipped: [] }
    for (const module of modules) {
      const path = relative(process.cwd(), module.moduleId)
      const file = usual.includes(module.project.name) ? path : `${path} (${module.project.name})`
      // A file that cannot be loaded, or whose hooks fail, has no failed test to show for it.
      if (module.errors().length > 0) result.failed++
      for (const suite of module.children.allSuites()) if (suite.errors().length > 0) result.failed++
      for (const test of module.children.allTests()) {
        const { state, note } = test.result()
        if (state === 'passed') result.passed++
        else if (state === 'failed') result.failed++
        else result.skipped.push({ name: `${file}: ${test.fullName}`, reason: note ?? '' })
      }
    }
    if (process.env.VARVE_TEST_SUMMARY) writeFileSync(process.env.VARVE_TEST_SUMMARY, JSON.stringify(result))
  }
}
