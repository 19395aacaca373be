import { randomBytes } from 'node:crypto'
import { type Answer, type Asked, credentialOf, startDouble } from './faults.ts'

/** An issuer whose keys are made and ended by hand. */
export async function startIssuer() {
  const keys: { readonly value: string; readonly name: string }[] = []
  const came: Asked[] = []
  const answer = (asked: Asked): Answer => {
    came.push(asked)
    const form = new URLSearchParams(asked.body.toString())
    const sent = [credentialOf(asked), form.get('key'), Buffer.from(credentialOf(asked, 'Basic'), 'base64').toString().split(':')[1]]
    // As some do: with the credential in the refusal.
    return keys.some(({ value }) => sent.includes(value)) ? { status: 200, body: { ok: true } } : { status: 401, body: { error: sent[0] } }
  }
  const double = await startDouble(['GET', 'POST'].map((method) => ({ name: method, method, path: /^\/me$/, answer })))
  const make = (name: string) => {
    const key = { name, value: `dd-${randomBytes(12).toString('hex')}` }
    keys.push(key)
    return key.value
  }
  const end = (value: string | undefined) => keys.splice(0, keys.length, ...keys.filter((key) => key.value !== value))
  return { ...double, origin: double.origin, keys, came, make, end }
}

/** How such a key is described to a person. */
export const described = {
  title: 'Make an API key at Datadog',
  instructions: '1. Choose **New key** and call it `{name}`.\n2. Paste it; keep `{"braces": 1}` and {value}.',
  url: 'https://datadog.example/keys',
  paste: { value: { label: 'API key', pattern: 'dd-[0-9a-f]{24}' } },
  revocation: { instructions: 'Delete every key but `{name}`.' },
}
/** How it is tried. */
export const bearer = (origin: string) => ({ url: `${origin}/me`, headers: { authorization: 'Bearer {value}' } })
