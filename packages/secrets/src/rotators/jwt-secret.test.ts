import { jwtVerify, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { callOf } from '../../../../test/harness/parts.ts'
import type { Credential } from '../secret/credential.ts'
import { render } from '../secret/template.ts'
import jwtSecret, { options } from './jwt-secret.ts'

const open = (given: object = {}) => jwtSecret(options.parse(given))
const bytes = (text: string) => new TextEncoder().encode(text)

test.each(['HS256', 'HS384', 'HS512'])('the secret signs and verifies tokens by %s.', async (algorithm) => {
  const { value = '' } = (await open({ algorithm }).propose!(callOf(), null)).parts
  expect(value).toMatch(/^[\w-]{86}$/)
  const token = await new SignJWT({}).setProtectedHeader({ alg: algorithm }).sign(bytes(value))
  await expect(jwtVerify(token, bytes(value), { algorithms: [algorithm] })).resolves.toBeDefined()
})

/** A machine as it booted: it signs by one secret and verifies by all that it has. */
const machine = (environment: { readonly [name: string]: string | null }) => ({
  sign: () => new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).sign(bytes(environment.JWT_SECRET ?? '')),
  accepts: async (token: string) => {
    for (const secret of Object.values(environment)) {
      if (secret === null) continue
      if (
        await jwtVerify(token, bytes(secret), { algorithms: ['HS256'] }).then(
          () => true,
          () => false,
        )
      )
        return true
    }
    return false
  },
})

test('in three deployments no machine ever meets a token that it cannot verify; in two one does.', async () => {
  const rotator = open()
  expect(rotator).toMatchObject({ needs: ['next', 'previous'], issuer: false, overlap: true })
  const [old, next] = [await rotator.propose!(callOf(), null), await rotator.propose!(callOf(), null)]
  const templates = { JWT_SECRET: '{value}', JWT_NEXT: '{next.value}', JWT_PREVIOUS_SIGNING_KEY: '{previous.value}' }
  const at = (current: Credential, previous: Credential | null, coming: Credential | null) =>
    machine(render(templates, { current, previous, next: coming }))
  const phases = [at(old, null, null), at(old, null, next), at(next, old, null)]
  // During a deployment machines of two neighbouring phases serve side by side.
  for (const [index, older] of phases.slice(0, -1).entries()) {
    const newer = phases[index + 1]!
    for (const [signer, verifier] of [
      [older, newer],
      [newer, older],
    ] as const)
      expect(await verifier.accepts(await signer.sign())).toBe(true)
  }
  const afterGrace = at(next, null, null)
  expect(await phases[2]!.accepts(await afterGrace.sign())).toBe(true)
  expect(await afterGrace.accepts(await phases[2]!.sign())).toBe(true)
  expect(await afterGrace.accepts(await phases[0]!.sign())).toBe(false)
  expect(await phases[0]!.accepts(await phases[2]!.sign())).toBe(false)
})

test('a secret that is too short or has a line break in it is refused.', async () => {
  for (const value of ['short', `${'a'.repeat(64)}\n`]) {
    const given = { id: null, parts: { value } }
    expect(await open().verify(callOf(), given)).toMatchObject({ works: false, later: false })
    await expect(open().create(callOf(), given, null)).rejects.toMatchObject({ code: 'ERR_OUTSIDE_REFUSED' })
  }
  for (const bad of [{ bytes: 16 }, { algorithm: 'HS512', bytes: 32 }, { algorithm: 'RS256' }])
    expect(options.safeParse(bad).success).toBe(false)
})
