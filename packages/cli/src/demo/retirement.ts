import { type Certificate, certificateText, checkCertificate, isFenced, isKeyturnError, signingKey } from '@keyturn/core'
import { certificateScreen } from '../screens/certificate.ts'
import { retirementScreen } from '../screens/retirement.ts'
import { count } from '../screens/words.ts'
import { damage, fields } from './application.ts'
import type { Stage } from './stage.ts'

const DAMAGED = 3

/**
 * The key rotated once more, and the one before retired: refused first, because of values that name it and do not open.
 *
 * @returns whether everything went as it must
 */
export async function retirement(stage: Stage): Promise<boolean> {
  const { keyturn, say, db, seeded, rotate } = stage
  const old = await activeVersion(stage)
  const damaged = await damage(db, seeded, DAMAGED)
  say(`\nA year later. ${count(damaged, 'value')} were damaged by somebody's script meanwhile; a new key is due.`)
  say('\n$ keyturn rotate app --yes\n')
  const result = await rotate()
  say(`${count(result.rotated, 'value')} rotated, ${count(result.failedCount, 'value')} set aside.`)
  say(`\n$ keyturn retire app --version ${old} --yes\n`)
  const options = { versions: [old], throttle: { share: 1 } }
  const refused = await keyturn.retire('app', options).catch((error: unknown) => error)
  if (!isKeyturnError(refused, 'ERR_SET_ASIDE')) return false
  say(`keyturn: ${refused.message} [${refused.code}]`)
  say(`\n$ keyturn retire app --version ${old} --accept-set-aside ${damaged} --yes\n`)
  const retirements = await keyturn.retire('app', { ...options, acceptSetAside: damaged })
  say(retirementScreen('app', retirements))
  const fenced = await writeUnder(stage, old)
  say(`\nA process with an old key writes a value under it: ${fenced ? 'the database refuses it.' : 'it is there.'}`)
  const [certificate] = retirements.map((one) => one.certificate)
  return fenced && certificate !== undefined && certificate !== null && checked(stage, certificate)
}

async function activeVersion({ keyturn }: Stage): Promise<string> {
  const [keyring] = (await keyturn.status('app')).keyrings
  return keyring?.versions.find(({ state }) => state === 'active')?.id ?? ''
}

/** @returns whether the database refused it */
async function writeUnder({ db }: Stage, keyId: string): Promise<boolean> {
  const [{ table, column }] = fields
  const written = db.query(`UPDATE ${table} SET "${column}" = $1 WHERE id = 1`, [`kt1.${keyId}.written-by-a-process-with-an-old-key`])
  return written.then(
    () => false,
    (error: unknown) => isFenced(error) === keyId,
  )
}

/** The certificate as a stranger checks it: its file, the public key, and nothing else. */
function checked({ say, env }: Stage, certificate: Certificate): boolean {
  const { publicKey } = signingKey(env.SIGNING_KEY, 'SIGNING_KEY')
  say('\n$ keyturn certificate show --json > certificate.json')
  say('$ keyturn certificate verify certificate.json --public-key signer.pub        (no database, no keys)\n')
  const found = checkCertificate(certificateText(certificate), publicKey.pem)
  say(`The signature is good: the holder of key ${found.signer} claimed exactly this.\n`)
  say(certificateScreen(found, null))
  return true
}
