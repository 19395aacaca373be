import { sign } from 'node:crypto'
import { z } from 'zod'
import { bodyOf } from './body.ts'
import { outside } from './failure.ts'
import { type Answer, ask } from './http.ts'

/** Who logs in at Google: the account and key of a key file. */
export interface GoogleLogin {
  /** For messages. */
  readonly where: string
  /** The text of a key file of a service account. */
  readonly keyFile: string
  /** The token endpoint: `https://oauth2.googleapis.com/token`. */
  readonly endpoint: string
  /** In milliseconds since 1970. */
  readonly now: number
  readonly signal: AbortSignal
}

const fileSchema = z.object({
  client_email: z.string(),
  private_key: z.string(),
  private_key_id: z.string().optional(),
})

/** What stands in a key file. */
export type KeyFile = z.infer<typeof fileSchema>

const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
// Not the address of the call: a key file that somebody has changed could send the assertion elsewhere.
const AUDIENCE = 'https://oauth2.googleapis.com/token'
const LIFETIME_S = 600

/** @throws refused where the text is no key file; never with what it holds */
export function keyFileOf(where: string, text: string): KeyFile {
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch {
    throw outside('refused', where, 'the key file of the service account has not the form of one')
  }
}

/** Signs an assertion (RFC 7523) with the key and asks for a token, on a connection of its own. Statuses that are expected are answers. */
export function askGoogle({ where, keyFile, endpoint, now, signal }: GoogleLogin, expect: readonly number[] = []): Promise<Answer> {
  const file = keyFileOf(where, keyFile)
  const iat = Math.floor(now / 1000)
  const claims = { iss: file.client_email, scope: SCOPE, aud: AUDIENCE, iat, exp: iat + LIFETIME_S }
  const head = { alg: 'RS256', typ: 'JWT', ...(file.private_key_id && { kid: file.private_key_id }) }
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const body = new URLSearchParams({ grant_type: GRANT, assertion: `${text}.${signature(where, text, file.private_key)}` })
  return ask({ where, url: endpoint, method: 'POST', body, headers: { connection: 'close' }, signal, expect, codeOf: googleCode })
}

/** A token for Google Cloud. @throws refused where the login is wrong */
export async function googleToken(login: GoogleLogin): Promise<string> {
  return bodyOf(login.where, await askGoogle(login), z.object({ access_token: z.string() })).access_token
}

/** What Google calls an error: `FAILED_PRECONDITION`, `invalid_grant`. */
export function googleCode(body: unknown): unknown {
  const { error } = body as { readonly error?: { readonly status?: unknown } | string }
  return typeof error === 'string' ? error : error?.status
}

function signature(where: string, text: string, key: string): string {
  try {
    return sign('sha256', Buffer.from(text), key).toString('base64url')
  } catch {
    throw outside('refused', where, 'the private key of the key file cannot be read')
  }
}
