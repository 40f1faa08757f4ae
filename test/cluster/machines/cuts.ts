/** What the switch lets through, as rules of nftables. Pure: text in, text out. */

/** Where packets come from or go to. */
export interface Endpoint {
  readonly name: string
  /** An IPv4 address. */
  readonly address: string
}

/** One direction between two, in which packets are dropped: nobody is told, and ARP still answers, as behind a router. */
export interface Cut {
  readonly from: Endpoint
  readonly to: Endpoint
  /** Which share of the packets, above 0 and up to 1. */
  readonly share: number
}

const PARTS = 1000

/** One transaction that makes exactly these cuts: nothing slips through between two of them. */
export function rulesOf(cuts: Iterable<Cut>): string {
  const lines = [...cuts].map(({ from, to, share }) => {
    const some = share < 1 ? ` numgen random mod ${PARTS} < ${Math.max(1, Math.round(share * PARTS))}` : ''
    return `    ip saddr ${from.address} ip daddr ${to.address}${some} drop`
  })
  return [
    'table bridge cuts',
    // It must be there to be deleted.
    'delete table bridge cuts',
    'table bridge cuts {',
    '  chain forward {',
    '    type filter hook forward priority 0',
    ...lines,
    '  }',
    '}',
    '',
  ].join('\n')
}
