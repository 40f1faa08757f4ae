import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Runs `body` with a fresh directory, on the disk that `VARVE_BENCH_DIR` names if it does, and removes it. */
export async function withTemporaryDirectory(body) {
  const dir = mkdtempSync(join(process.env.VARVE_BENCH_DIR ?? tmpdir(), 'varve-bench-'))
  try {
    return await body(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
