import { createHash } from 'node:crypto'
import { canonicalJson } from '../audit/canonical.ts'
import type { AuditValue } from '../audit/event.ts'
import { fail } from '../errors.ts'
import { publicKey } from '../signing/public-key.ts'
import type { SigningKey } from '../signing/signing-key.ts'

/** A signed result: `spec/certificate.md`. */
export interface Certificate {
  readonly format: 'keyturn/certificate/1'
  /** What is claimed. Canonical JSON of it is what is signed. */
  readonly claim: Claim
  /** Identifies the public key: see `signing/`. */
  readonly signer: string
  /** Ed25519, base64url. */
  readonly signature: string
}
export type Claim = { readonly [name: string]: AuditValue }

const format = 'keyturn/certificate/1'
const kinds: readonly unknown[] = ['rotation', 'retirement']

/** Signs a claim. @throws `ERR_USAGE` for what canonical JSON cannot hold */
export function signCertificate(claim: Claim, signer: SigningKey): Certificate {
  return { format, claim, signer: signer.publicKey.signer, signature: signer.sign('certificate', canonicalJson(claim)) }
}

/** The text of a certificate: canonical JSON in one line, without a line break. The only writing that checks. */
export function certificateText({ claim, signature, signer }: Certificate): string {
  return canonicalJson({ claim, format, signature, signer })
}

/** SHA-256 of the text of a certificate, in hexadecimal: its id, and what the audit event of its issue holds. */
export const certificateHash = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')

/**
 * Checks a certificate without a database: with nothing but its file and the public key.
 *
 * What it proves: the holder of the signing key claimed exactly this. One line break after the text is no part of it.
 *
 * @param text - the file, as text or bytes
 * @param key - the public key, SPKI in PEM or base64url
 * @throws `ERR_CERTIFICATE` with what is wrong: another byte, another writing, another format, another signer
 * @example
 * const key = 'A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg'
 * checkCertificate('{"claim":{},"format":"keyturn/certificate/2","signature":"","signer":""}', key) // throws ERR_CERTIFICATE
 */
export function checkCertificate(text: string | Uint8Array, key: string): Certificate {
  const certificate = parse(decoded(text).replace(/\r?\n$/, ''))
  const verifier = publicKey(key)
  if (certificate.signer !== verifier.signer) throw refused(`it was signed with another key than ${verifier.signer}`)
  if (!verifier.verifies('certificate', canonicalJson(certificate.claim), certificate.signature))
    throw refused('the signature does not fit what it claims')
  return certificate
}

/**
 * Reads a certificate without a look at its signature: what it says is said by whoever wrote it.
 *
 * @returns null for what is none
 */
export function readCertificate(text: string): Certificate | null {
  try {
    return parse(text)
  } catch {
    return null
  }
}

function decoded(text: string | Uint8Array): string {
  if (typeof text === 'string') return text
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text)
  } catch {
    throw refused('it is not UTF-8')
  }
}

function parse(text: string): Certificate {
  let found: Certificate
  try {
    found = JSON.parse(text)
  } catch {
    throw refused('it is not JSON')
  }
  if (typeof found !== 'object' || found === null || found.format !== format) throw refused('it is not a certificate of format 1')
  const { claim, signer, signature } = found
  if (typeof signer !== 'string' || typeof signature !== 'string' || typeof claim !== 'object' || claim === null || Array.isArray(claim))
    throw refused('a member is missing or malformed')
  if (!kinds.includes(claim.kind)) throw refused('it claims what this version does not know')
  if (rewritten(found) !== text) throw refused('it is not written as certificates are, or has members that they do not have')
  return found
}

function rewritten(certificate: Certificate): string | null {
  try {
    return certificateText(certificate)
  } catch {
    // What canonical JSON cannot hold was never signed.
    return null
  }
}

const refused = (why: string) => fail('ERR_CERTIFICATE', 'certificate', why)
