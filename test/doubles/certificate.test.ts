import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeCertificate } from './certificate.ts'

test('the certificate is of its authority, for this machine, and for no other', () => {
  const made = makeCertificate()
  const [ca, cert] = [new X509Certificate(made.ca), new X509Certificate(made.cert)]
  expect([ca.ca, cert.ca, cert.checkIssued(ca), cert.verify(ca.publicKey)]).toEqual([true, false, true, true])
  expect([cert.checkHost('localhost'), cert.checkIP('127.0.0.1')]).toEqual(['localhost', '127.0.0.1'])
  expect(cert.checkHost('example.com')).toBeUndefined()
  expect(cert.verify(new X509Certificate(makeCertificate().ca).publicKey)).toBe(false)
})
