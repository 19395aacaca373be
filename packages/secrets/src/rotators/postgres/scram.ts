import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)
const ITERATIONS = 4096
const SALT_BYTES = 16
const KEY_BYTES = 32

const pattern = /^SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/

/**
 * What Postgres keeps of a password, made here: `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY` (RFC 5802, RFC 7677). `ALTER ROLE … PASSWORD`
 * stores such a text as it is, so that the password itself is in no statement, log or extension.
 *
 * A text that is not exactly of this form Postgres would take for a password, without an error.
 */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES), iterations = ITERATIONS): Promise<string> {
  // SASLprep of what we generate, which is ASCII, is the text itself; NFKC is what it does to other letters.
  const salted = await derive(password.normalize('NFKC'), salt, iterations, KEY_BYTES, 'sha256')
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`
}

export const isScramVerifier = (text: string): boolean => pattern.test(text)

/** Whether what Postgres keeps for a role, `pg_authid.rolpassword`, is of this password. */
export async function isOf(kept: string | null, user: string, password: string): Promise<boolean> {
  if (kept === null) return false
  const [, iterations = '0', salt = ''] = pattern.exec(kept) ?? []
  const made =
    salt === ''
      ? `md5${createHash('md5').update(`${password}${user}`).digest('hex')}`
      : await scramVerifier(password, Buffer.from(salt, 'base64'), Number(iterations))
  return made.length === kept.length && timingSafeEqual(Buffer.from(made), Buffer.from(kept))
}
