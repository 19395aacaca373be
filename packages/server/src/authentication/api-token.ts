import { crc32 } from 'node:zlib'
import { drawSecret } from './secret.ts'

/**
 * An API token: `kt_`, 256 random bits, and a check over them, so that scanners of repositories recognise a leaked one, and a mistyped one
 * is refused without a look at the database.
 *
 *     kt_ ‖ base64url(32 bytes) ‖ base64url(crc32 of the characters between, four bytes)        52 characters
 */
export function drawToken(): string {
  const secret = drawSecret()
  return `kt_${secret}${checkOf(secret)}`
}

/** Whether text is an API token, of whomever. */
export function isToken(text: string): boolean {
  const [, secret, check] = /^kt_([\w-]{43})([\w-]{6})$/.exec(text) ?? []
  return secret !== undefined && check === checkOf(secret)
}

function checkOf(secret: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(secret))
  return bytes.toString('base64url')
}
