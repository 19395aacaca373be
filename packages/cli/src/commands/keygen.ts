import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fail, generateKey } from '@keyturn/core'
import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { kindOf } from '../failure.ts'

const formats = ['hex', 'base64', 'base64url', 'chars'] as const

/** Prints a new random key and nothing else, so that it can go straight into a file or a secret store. */
export default async function keygen(call: Call): Promise<number> {
  const { format = 'hex', bytes, length, public: file } = call.options
  if (format === 'ed25519') return signing(call)
  if (file !== undefined) throw fail('ERR_USAGE', '--public goes with --format ed25519: other keys have no public half')
  const known = formats.find((one) => one === format)
  if (known === undefined) throw fail('ERR_USAGE', `--format must be one of ${formats.join(', ')}, ed25519`)
  const key = generateKey({ format: known, ...amount('bytes', bytes), ...amount('length', length) })
  print(call, { key }, key)
  return exit.done
}

/**
 * A key that signs certificates. The private half goes to standard output alone, as every key does; the public one, which is no
 * secret, into a file or to standard error. The file is written first: a private key without its public half is never printed.
 */
async function signing(call: Call): Promise<number> {
  const { bytes, length, public: file, json } = call.options
  if (bytes !== undefined || length !== undefined)
    throw fail('ERR_USAGE', 'a key of --format ed25519 has one size. Leave out --bytes and --length')
  const pair = generateKeyPairSync('ed25519')
  const publicKey = String(pair.publicKey.export({ type: 'spki', format: 'pem' }))
  const key = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  if (file !== undefined) {
    await writeFile(resolve(call.io.cwd, file), publicKey, { flag: 'wx' }).catch((error: unknown) => {
      throw fail('ERR_USAGE', `the file of --public cannot be made (${kindOf(error)}). Name one that is not there yet`)
    })
  } else if (!json) {
    call.io.stderr.write(`The public key, for those who check certificates:\n${publicKey}`)
  }
  print(call, { key, publicKey }, key)
  return exit.done
}

function amount(name: 'bytes' | 'length', text: string | undefined): { [name: string]: number } {
  if (text === undefined) return {}
  if (!/^[0-9]{1,6}$/.test(text)) throw fail('ERR_USAGE', `--${name} must be a whole number`)
  return { [name]: Number(text) }
}
