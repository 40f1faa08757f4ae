/** The other end of a connection, as cheap as it can be: takes everything and says how much it was. */
import { receive } from '../subjects/ceiling.mjs'

process.send(receive({ port: Number(process.argv[2]) }))
process.disconnect()
