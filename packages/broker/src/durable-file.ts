import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '@varve/log'

/** Writes a small file so that after a crash it is there with its old content or the new, and after this call with the new. */
export async function writeDurably(dir: string, name: string, content: string): Promise<void> {
  const path = join(dir, name)
  const file = await open(`${path}.tmp`, 'w')
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.tmp`, path)
  await syncDirectory(dir)
}
