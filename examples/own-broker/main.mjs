import { Broker } from './broker.mjs'

const [dir = './messages', port = '8080'] = process.argv.slice(2)
const broker = await Broker.start(dir, { port: Number(port) })
console.log(`serving ${dir} on ${broker.url}`)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => broker.close())
