import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

/** An authority of its own, and a certificate of it for this machine: `localhost` and `127.0.0.1`. In PEM. */
export interface LocalCertificate {
  /** What a client must trust. */
  readonly ca: string
  readonly key: string
  readonly cert: string
}

/** Made anew at each call, valid for two days around now: no key of a test is in the repository, and none expires there. */
export function makeCertificate(): LocalCertificate {
  const [authority, server] = [keyPair(), keyPair()]
  const issuer = nameOf('Keyturn test authority')
  const ca = certificate({ subject: issuer, issuer, publicKey: authority.publicKey, extensions: [isAuthority] }, authority.privateKey)
  const subject = { subject: nameOf('localhost'), publicKey: server.publicKey, extensions: [alternativeNames] }
  const cert = certificate({ ...subject, issuer }, authority.privateKey)
  return { ca: pem(ca), cert: pem(cert), key: server.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

interface Subject {
  readonly subject: Buffer
  readonly issuer: Buffer
  readonly publicKey: KeyObject
  readonly extensions: readonly Buffer[]
}

/** X.509, version 3 (RFC 5280, section 4.1), signed with ECDSA and SHA-256. */
function certificate({ subject, issuer, publicKey, extensions }: Subject, signer: KeyObject): Buffer {
  const day = 86_400_000
  const signed = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ecdsaWithSha256,
    issuer,
    sequence(time(Date.now() - day), time(Date.now() + day)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  return sequence(signed, ecdsaWithSha256, der(0x03, Buffer.of(0), sign('sha256', signed, signer)))
}

function keyPair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts)
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))))
}

/** UTCTime, good until 2049. */
function time(ms: number): Buffer {
  return der(0x17, Buffer.from(`${new Date(ms).toISOString().slice(2, 19).replace(/\D/g, '')}Z`))
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
const critical = der(0x01, Buffer.of(0xff))
const isAuthority = sequence(oid('551d13'), critical, der(0x04, sequence(critical)))
const addresses = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.of(127, 0, 0, 1)))
const alternativeNames = sequence(oid('551d11'), der(0x04, addresses))
