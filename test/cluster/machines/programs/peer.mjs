/**
 * Says its number to each peer every ten milliseconds, over TCP and over UDP, and prints what it hears: `tcp one 17`. A
 * connection that ends is told, and not made again.
 *
 * Usage: node peer.mjs NAME ADDRESS…
 */
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

const PORT = 7000
const [name, ...addresses] = process.argv.slice(2)

const tell = (how, line) => console.log(`${how} ${line}`)

createServer((socket) => {
  socket.on('error', (error) => tell('error', error.code))
  createInterface({ input: socket }).on('line', (line) => tell('tcp', line))
}).listen(PORT, '0.0.0.0', () => console.log('listens'))

const datagrams = createSocket('udp4')
datagrams.on('message', (message) => tell('udp', message.toString()))
datagrams.bind(PORT, '0.0.0.0')

const say = (address) => {
  const socket = connect(PORT, address)
  let said = 0
  let timer
  socket.setNoDelay().on('connect', () => {
    timer = setInterval(() => {
      const line = `${name} ${++said}`
      socket.write(`${line}\n`)
      datagrams.send(line, PORT, address)
    }, 10)
  })
  socket.on('error', (error) => {
    clearInterval(timer)
    // Not every peer listens yet.
    if (said === 0 && error.code === 'ECONNREFUSED') setTimeout(say, 10, address)
    else tell('error', error.code)
  })
}
for (const address of addresses) say(address)
