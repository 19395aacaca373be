import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { checkCertificate, fail } from '@keyturn/core'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { kindOf } from '../../failure.ts'
import { certificateScreen } from '../../screens/certificate.ts'

/** Checks a certificate with nothing but its file and the public key of its signer: no configuration, no database. */
export default async function verify(call: Call): Promise<number> {
  const [file = ''] = call.args
  const { publicKey } = call.options
  if (publicKey === undefined) throw fail('ERR_USAGE', 'say whose signature it should be: --public-key FILE, obtained from the signer')
  const key = (await contents(call, publicKey, 'the file of --public-key')).toString('utf8')
  const certificate = await contents(call, file, 'the certificate')
  const { claim, signer, ...rest } = checkCertificate(certificate, key)
  const words = certificateScreen({ claim, signer, ...rest }, null)
  print(call, { valid: true, signer, claim }, `The signature is good: the holder of key ${signer} claimed exactly this.\n\n${words}`)
  return exit.done
}

function contents({ io }: Call, path: string, what: string): Promise<Buffer> {
  return readFile(resolve(io.cwd, path)).catch((error: unknown) => {
    throw fail('ERR_USAGE', `${what} cannot be read (${kindOf(error)})`)
  })
}
