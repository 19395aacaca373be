import { createHmac } from 'node:crypto'
import { z } from 'zod'
import type { World } from '../secret/call.ts'
import { httpUrl, secretRef } from '../secret/options.ts'
import { outside } from './failure.ts'

/** A message of ours to an address of the user's: who gets it can check that it is from us, and how old it is. */
export const hookOptions = {
  /** Where it is sent: an address, or the variable that holds one, where the address is a secret itself. */
  url: z.union([secretRef, httpUrl], { error: 'expected an address that begins with https:// or http://, or { "env": "NAME" }' }),
  /** The key that signs, at least 32 characters, which who gets it has, too. */
  key: secretRef,
}

const LEAST_KEY = 32

/**
 * The headers of a signed message: `keyturn-signature: t=SECONDS,v1=HEX`, in which HEX is HMAC-SHA256 over `SECONDS.BODY`. Who gets it computes
 * the same over the bytes that came, compares in constant time, and refuses what is older than five minutes. A repetition has the same
 * `idempotency-key`.
 */
export function signedHeaders(body: string, { key, id, now }: { readonly key: string; readonly id: string; readonly now: number }) {
  const seconds = Math.floor(now / 1000)
  const signature = createHmac('sha256', key).update(`${seconds}.${body}`).digest('hex')
  return { 'content-type': 'application/json', 'keyturn-signature': `t=${seconds},v1=${signature}`, 'idempotency-key': id }
}

/** The address and the key of a hook as they are now. @throws `ERR_OUTSIDE_REFUSED` for what cannot be one, `ERR_ENV_MISSING` */
export async function hookOf(
  { url, key }: { readonly url: string | z.infer<typeof secretRef>; readonly key: z.infer<typeof secretRef> },
  world: World,
  where: string,
): Promise<{ readonly url: string; readonly key: string }> {
  const address = typeof url === 'string' ? url : await addressIn(url, world, where)
  const secret = await world.read(key)
  if (secret.length < LEAST_KEY) throw outside('refused', where, `its key is shorter than ${LEAST_KEY} characters`)
  return { url: address, key: secret }
}

/** An address that is a secret: who knows it may post there. */
export async function addressIn(ref: z.infer<typeof secretRef>, world: World, where: string): Promise<string> {
  const address = await world.read(ref)
  if (/^https?:\/\/[^\s@]+$/.test(address) && URL.canParse(address)) return address
  throw outside('refused', where, 'its variable holds no address that begins with https:// or http://')
}
