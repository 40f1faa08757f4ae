/**
 * Writes to a file and flushes it, one time after the other, and prints how long each took or why it failed: `flushed in 3 ms`,
 * `failed ENOSPC`.
 *
 * Usage: node flusher.mjs FILE
 */
import { open } from 'node:fs/promises'

const file = await open(process.argv[2], 'a')
for (;;) {
  const began = performance.now()
  try {
    await file.write(Buffer.alloc(4096))
    await file.datasync()
    console.log(`flushed in ${Math.round(performance.now() - began)} ms`)
  } catch (error) {
    console.log(`failed ${error.code}`)
  }
  await new Promise((resolve) => setTimeout(resolve, 5))
}
