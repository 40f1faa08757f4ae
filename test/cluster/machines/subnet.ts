import { command } from './command.js'

/** 198.18.0.0/15, which RFC 2544 sets aside for tests between devices and nobody routes. */
const FIRST = [198, 18] as const
const COUNT = 512

/** The first three numbers of a network of 256 addresses. */
export type Subnet = `${number}.${number}.${number}`

const subnetOf = (index: number): Subnet => `${FIRST[0]}.${FIRST[1] + (index >> 8)}.${index & 255}`

const numberOf = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)

interface Link {
  readonly ifindex: number
  readonly addr_info: readonly { readonly family: string; readonly local: string }[]
}

interface Route {
  /** `default`, an address, or a prefix such as `10.0.0.0/8`. */
  readonly dst: string
}

function overlaps({ dst }: Route, subnet: Subnet): boolean {
  const [address, length = '32'] = dst.split('/')
  if (!/^[\d.]+$/.test(address!)) return false
  const size = 2 ** Math.max(8, 32 - Number(length))
  return Math.floor(numberOf(address!) / size) === Math.floor(numberOf(`${subnet}.0`) / size)
}

/**
 * Gives a link of the host an address in a subnet that nobody has, neither the host nor another process that looks for one right
 * now: of two that took the same, the older link keeps it.
 *
 * @param start where to look first, so that few meet
 */
export function claimSubnet(link: string, start: number): Subnet {
  for (let n = 0; n < COUNT; n++) {
    const subnet = subnetOf((start + n) % COUNT)
    const routes = JSON.parse(command('ip', ['-4', '-json', 'route', 'show', 'table', 'all'])) as Route[]
    if (routes.some((route) => overlaps(route, subnet))) continue
    command('ip', ['addr', 'add', `${subnet}.1/24`, 'dev', link])
    const links = JSON.parse(command('ip', ['-4', '-json', 'addr', 'show'])) as Link[]
    const claims = links
      .filter(({ addr_info: addresses }) => addresses.some(({ local }) => local.startsWith(`${subnet}.`)))
      .map(({ ifindex }) => ifindex)
    const own = JSON.parse(command('ip', ['-json', 'link', 'show', 'dev', link])) as Link[]
    if (Math.min(...claims) === own[0]!.ifindex) return subnet
    command('ip', ['addr', 'del', `${subnet}.1/24`, 'dev', link])
  }
  throw new Error(`all ${COUNT} subnets from ${subnetOf(0)}.0/24 on are taken`)
}
