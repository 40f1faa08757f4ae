import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Whose a data directory is, as its `meta.properties` says. */
export interface DirectoryIdentity {
  readonly clusterId: string
  readonly nodeId: number
}

/** Whose the first of these data directories is that is somebody's; null where all are new. Opening them compares the others. */
export async function readIdentity(paths: readonly string[]): Promise<DirectoryIdentity | null> {
  for (const path of paths) {
    const text = await readFile(join(path, 'meta.properties'), 'utf8').catch(() => '')
    const clusterId = /^cluster\.id=(.+)$/m.exec(text)?.[1]
    const nodeId = /^(?:node|broker)\.id=(\d+)$/m.exec(text)?.[1]
    // What is wrong with the file, opening the directory says in better words.
    if (clusterId !== undefined && nodeId !== undefined) return { clusterId, nodeId: Number(nodeId) }
  }
  return null
}
