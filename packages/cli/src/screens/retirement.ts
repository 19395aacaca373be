import type { Certificate, Retirement } from '@keyturn/core'
import { count, section } from './words.ts'

/** What retiring came to: the fences that the database has checked, and what is left beside them. */
export function retirementScreen(keyring: string, retirements: readonly Retirement[]): string {
  if (retirements.length === 0) return `Nothing was left to retire of keyring "${keyring}": every fence stands.`
  return retirements.map(retired).join('\n\n')
}

function retired({ keyring, versionId, fences, accepted, certificate }: Retirement): string {
  const lines = fences.map(({ table, column, constraint }) => `${table}.${column}  ${constraint}`)
  return [
    `Key ${versionId} of keyring "${keyring}" is retired: the database refuses it and has checked every row.`,
    ...section('Fences', lines),
    ...(accepted === 0 ? [] : section('Accepted', [`${count(accepted, 'value')} set aside under this key; the certificate lists them`])),
    ...section('Certificate', [certificateLine(certificate)]),
    ...section('What to do next', [
      `keyturn destroy ${keyring} ${versionId}, once no backup is needed any more that holds values under it`,
    ]),
  ].join('\n')
}

/** Whether there is a certificate, and who signed it. */
export function certificateLine(certificate: Certificate | null): string {
  return certificate === null ? 'none: no signing key is set' : `signed by ${certificate.signer}; "keyturn certificate show" prints it`
}
