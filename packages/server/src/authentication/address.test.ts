import type { FastifyRequest } from 'fastify'
import { expect, test } from 'vitest'
import { addressOf, networkOf } from './address.ts'

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0db8:0001:0002::1', '2001:db8:1:2::/64'],
  ['2001:DB8:1::7', '2001:db8:1:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('of %s an attacker has all of %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

test('what a proxy says that is no address is none', () => {
  const of = (ip: unknown) => addressOf({ ip } as FastifyRequest)
  expect(of('2001:db8::1')).toBe('2001:db8::1')
  for (const wrong of ['<script>', '', undefined, '203.0.113.7, 1', 'x'.repeat(9000)]) expect(of(wrong)).toBe('unknown')
})
