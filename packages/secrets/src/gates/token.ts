import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Call, World } from '../secret/call.ts'
import type { Asked, Gate } from '../secret/gate.ts'
import { httpUrl } from '../secret/options.ts'
import { askAndCompare, type Expectations, expectations } from './http/asked.ts'
import { algorithms, keyOf, madeUp, signedToken, type TokenKey } from './token/signed-token.ts'

const claim = z.string().min(1).max(300)

export const options = z.strictObject({
  /** An address of the application that wants a token, sent as `Authorization: Bearer …`, and changes nothing. */
  url: httpUrl,
  method: z.enum(['GET', 'POST']).default('GET'),
  /** How it is signed; as the key says unless given, and by HS256 for a secret. */
  algorithm: z.enum(algorithms).optional(),
  issuer: claim.optional(),
  audience: z.union([claim, z.array(claim).min(1)]).optional(),
  subject: claim.default('keyturn'),
  /** Further claims, such as `{ scope: 'health' }`. */
  claims: z.record(z.string(), z.json()).optional(),
  /** How long a token lives, in seconds. */
  seconds: z.int().min(5).max(600).default(60),
  /** Statuses that refuse a token; 401 and 403 unless given. */
  refused: z.array(z.int().min(400).max(499)).min(1).default([401, 403]),
  ...expectations,
})

/**
 * Signs a token with the key in use, as the application does, and has the application accept it; then one with the old key, which is accepted until it is
 * withdrawn and refused from then on; and one with a key made up on the spot, which it must refuse: an application that accepts that one verifies nothing. For
 * `jwt-secret` and `jwt-key-pair`.
 *
 * A token lives for a minute and names Keyturn as its subject. It is sent nowhere else: redirects are not followed.
 * `{ gate: 'token', url: 'https://app/v1/me', audience: 'app' }`. Facts: RFC 7515, 7518, 7519.
 */
export default function token(given: z.infer<typeof options>, world: World): Gate {
  const { url, method, algorithm, issuer, audience, subject, claims = {}, seconds, refused, settleMs, status, path, expect } = given
  const { origin, pathname } = new URL(url)
  const where = `${origin}${pathname}`
  const send = async (call: Call, key: TokenKey, wanted: Expectations) => {
    const now = Math.floor(world.now() / 1_000)
    // Without `nbf`: a clock that is a second behind would refuse it.
    const times = { iat: now, exp: now + seconds, jti: randomUUID() }
    const payload = { ...claims, sub: subject, ...(issuer && { iss: issuer }), ...(audience && { aud: audience }), ...times }
    return askAndCompare(
      call,
      { where, url, method, headers: { authorization: `Bearer ${signedToken(key, payload)}`, connection: 'close' } },
      wanted,
    )
  }
  const isRefused = (call: Call, key: TokenKey) => send(call, key, { status: refused })
  return {
    at: 'deployed',
    ...(settleMs !== undefined && { settleMs }),
    check: async (call) => {
      const { good, sentence } = await isRefused(call, await madeUp({ algorithm: algorithm ?? 'HS256', kid: undefined }))
      if (good) return []
      // What is down now may be what the rotation is to mend.
      const severity = / answered [1-4]\d\d$/.test(sentence) ? 'fault' : 'warning'
      return [{ severity, sentence: `a token signed with a made-up key is not refused: ${sentence}` }]
    },
    look: async (call: Call, { current, previous, both = false }: Asked) => {
      const key = keyOf(current, algorithm)
      if (key === null)
        return { works: false, later: false, sentence: 'the credential has neither a secret ("value") nor a private key ("privateKey")' }
      const expected = { status, path, expect }
      const now = await send(call, key, expected)
      if (!now.good) return { works: false, later: true, sentence: `a token of the key in use: ${now.sentence}` }
      const other = previous === null ? null : keyOf(previous, algorithm)
      if (other !== null) {
        const { good, sentence } = both ? await send(call, other, expected) : await isRefused(call, other)
        const should = both ? 'is to be accepted still' : 'is to be refused now'
        if (!good) return { works: false, later: true, sentence: `a token of the other key, which ${should}: ${sentence}` }
      }
      const never = await isRefused(call, await madeUp(key))
      if (!never.good)
        return {
          works: false,
          later: false,
          sentence: `a token signed with a made-up key was not refused, so that nothing is proved: ${never.sentence}`,
        }
      const others = other === null ? '' : both ? ' and of the old one' : ', refused one of the other key'
      return { works: true, sentence: `${where} accepted a token of the key in use${others}, and refused one of a made-up key` }
    },
  }
}
