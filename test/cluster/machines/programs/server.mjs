/**
 * Tells whoever connects what time it is, once that is in a file; or why it could not be written down.
 *
 * Usage: node server.mjs FILE
 */
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'

const PORT = 7000
const file = await open(process.argv[2], 'a')

createServer(async (socket) => {
  socket.on('error', (error) => console.error(error.code))
  const time = String(Date.now())
  try {
    await file.write(`${time}\n`)
    await file.datasync()
    socket.end(time)
  } catch (error) {
    socket.end(error.code)
  }
}).listen(PORT, '0.0.0.0', () => console.log('listens'))

process.once('SIGTERM', () => process.exit(0))
